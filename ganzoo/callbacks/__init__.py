"""What watches a run: sample grids, checkpoints, evaluation, the collapse watch, the progress bar."""
