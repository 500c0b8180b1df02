"""What a frozen encoder is worth: embeddings, linear heads, metrics."""
