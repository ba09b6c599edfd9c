"""One task behind the interfaces that others use."""
