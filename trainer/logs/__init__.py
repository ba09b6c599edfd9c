"""What a run says, as structured lines that agents and the clouds' log services understand."""
