"""Acrobot swing-up."""
