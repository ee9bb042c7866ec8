"""The processes of a run: its supervisor, its identity, its devices, and requests to it."""
