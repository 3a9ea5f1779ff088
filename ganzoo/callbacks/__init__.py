"""What watches a run: sample grids, checkpoints, the progress bar."""
