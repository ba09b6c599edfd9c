"""What an operator runs: a training site in a cloud, made, watched and torn down (imports trainer, never back)."""
