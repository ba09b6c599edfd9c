"""Frozen lake."""
