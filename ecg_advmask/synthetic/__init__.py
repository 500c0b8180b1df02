"""Generated ECGs, their truth, and archives of them in the layouts of real ones."""
