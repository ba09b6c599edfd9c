"""What a training run measures: the catalogue of metrics, and the sinks that its rows go to."""
