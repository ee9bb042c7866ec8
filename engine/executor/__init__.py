"""Where a run's supervisor is started: on this machine (`local`), or in a job of Slurm (`slurm/`).

`runs` asks of a run, whichever of them has it: what it does, that it stops, that it goes on.
"""

LOCAL, SLURM = "local", "slurm"
EXECUTORS = (LOCAL, SLURM)
"""The names of the executors."""
