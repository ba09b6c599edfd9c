"""What every trained agent offers: functions from observations to actions."""

from typing import Any, Protocol


class Policy(Protocol):
    """A policy that can be traced into a TensorFlow graph: pure but for the weights that it reads."""

    def __call__(self, observation: Any, mask: Any | None, key: Any) -> Any:
        """Choose actions.

        Args:
            observation: float32 [B, ...], as the environment gives it (any normalisation is the policy's own).
            mask: bool [B, n], the allowed actions; None if all are.
            key: int32 [2] (`envs.seeding`); a greedy policy ignores it.

        Returns:
            int32 [B] for discrete actions, float32 [B, ...] inside the action space for continuous ones.
        """
        ...
