"""Sources of experience."""
