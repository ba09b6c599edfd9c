"""Inventory control with lost sales."""
