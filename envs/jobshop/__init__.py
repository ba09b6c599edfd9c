"""Dispatching in a job shop."""
