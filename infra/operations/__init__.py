"""What an operator does with a site: look ahead, make, watch, pause, remove."""
