"""What a node needs to train, as one archive: the wheel, hashed requirements, the node playbook, the run file."""
