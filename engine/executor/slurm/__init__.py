"""Slurm: runs as its jobs. Submitting them, reading its queue, and what the two of them say together."""
