"""Learners: TF-Agents agents made from hyperparameters, with everything that a training iteration needs."""
