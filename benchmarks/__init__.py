"""Side-by-side measurements of Slipway and its peers; see README.md."""
