"""Cart and pole."""
