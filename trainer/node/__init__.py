"""A machine that trains one run as a service: its first boot, and what becomes of it when the run has ended."""
