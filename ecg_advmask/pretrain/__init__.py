"""Pretraining: the two objectives, the run directory and the loop."""
