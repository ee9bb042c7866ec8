"""The backend for any program: what it prints and writes becomes metrics."""
