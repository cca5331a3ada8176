"""One fit: stages, checkpoints, the best state."""
