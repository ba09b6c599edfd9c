"""Navigation tasks."""
