"""A training site on an operator's own servers: checks, Ansible runs that people can follow, and what they told."""
