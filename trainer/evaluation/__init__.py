"""How good a policy is, on seeds that training never meets."""
