"""Where a run's supervisor is started. This machine, for now; a cluster is another module beside `local`."""
