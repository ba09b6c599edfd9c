"""A run on the disk: its folder, its state, where it came from."""
