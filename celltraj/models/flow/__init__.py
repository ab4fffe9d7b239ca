"""Flow matching over all snapshots."""
