"""A make-to-stock supply chain in a row."""
