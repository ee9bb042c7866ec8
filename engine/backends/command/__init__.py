"""The backend for any program: its output becomes metrics."""
