"""Simulated tasks in TensorFlow. Importing this offers them to `gymnasium.make`, and imports no TensorFlow."""

from envs import registry

for _spec in registry.SPECS.values():
    registry.offer_to_gymnasium(_spec)
