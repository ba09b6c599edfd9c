"""What the presets learn, task by task: `make bench-learning` writes LEARNING.md."""
