"""What the masks of an adversary cover."""
