"""`slipway tune`: a search over hyperparameters, in a study that outlives the processes that work on it."""
