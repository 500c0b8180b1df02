"""Augmentations: batch-wise, in the graph, one name -> function table."""
