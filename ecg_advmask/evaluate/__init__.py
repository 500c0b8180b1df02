"""Evaluation of a frozen encoder: embeddings, linear heads, metrics."""
