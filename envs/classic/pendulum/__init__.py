"""Pendulum swing-up."""
