"""What runs on every node: train, resume, evaluate, export, report."""
