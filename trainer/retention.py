"""Which checkpoints are kept."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Retention:
    """A checkpoint is kept if one of these rules keeps it.

    Attributes:
        last: how many of the newest, at least 1: resume needs one.
        best: how many of those whose policy was found to be the best; of equals the older.
        every_env_steps: of each stretch of so many environment steps, the first; None: no such rule.
    """

    last: int = 3
    best: int = 0
    every_env_steps: int | None = None

    def kept(self, merits: Mapping[int, float | None]) -> set[int]:
        """The steps of those that are kept.

        Args:
            merits: by each checkpoint's step, how good its policy was found, more being better; None if it was not.
        """
        steps = sorted(merits)
        found = {step: merit for step, merit in sorted(merits.items()) if merit is not None}
        kept = {*steps[-self.last :], *sorted(found, key=found.__getitem__, reverse=True)[: self.best]}
        if self.every_env_steps is not None:
            firsts = {step // self.every_env_steps: step for step in reversed(steps)}
            kept |= set(firsts.values())
        return kept
