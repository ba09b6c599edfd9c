"""Simulated tasks: pure batched TensorFlow dynamics, usable through Gymnasium, TF-Agents and compiled graphs."""
