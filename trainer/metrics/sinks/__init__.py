"""Where rows of metrics go: a file that is part of the run's record, and watchers that may fail without harm."""
