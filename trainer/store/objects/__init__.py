"""Objects by key: what a bucket and a shared folder have in common. A run in such a place is a journal over objects."""
