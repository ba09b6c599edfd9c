"""Navigation tasks, a folder for each."""
