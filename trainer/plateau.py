"""How long a run's score has not got better: in the run's own measure, so that hours and minutes read alike."""

import dataclasses
import math

DECAY = 19
"""The newest twentieth of the scores has most of the weight."""
FIRST_SCORES = 50
"""A mean over a twentieth of fewer scores says nothing."""
STANDARD_ERRORS = 2
"""By so many the mean must be above the best, for the score to have got better and not just varied."""


@dataclasses.dataclass
class Plateau:
    """The newest scores against the best before them; part of every checkpoint, so that a resumed run goes on with it.

    The scores' mean is a polynomial-decay average: it forgets what is long ago, and how long that is grows with the
    run. Source: Shamir and Zhang (2013), Stochastic gradient descent for non-smooth optimization, section 4
    (https://arxiv.org/abs/1212.1824).

    Attributes:
        scores: how many there were.
        mean: of the newest ones, more being better.
        variance: of the newest ones.
        best: the mean when it last got better.
        best_env_steps: environment steps then.
    """

    scores: int = 0
    mean: float = 0.0
    variance: float = 0.0
    best: float = 0.0
    best_env_steps: int = 0

    def add(self, score: float, env_steps: int) -> None:
        """Take the next score.

        Args:
            score: more being better; finite.
            env_steps: environment steps of the run so far.
        """
        self.scores += 1
        weight = (DECAY + 1) / (self.scores + DECAY)
        off = score - self.mean
        self.mean += weight * off
        self.variance = (1 - weight) * (self.variance + weight * off * off)
        # The weights' squares add up to about half the newest weight.
        standard_error = math.sqrt(self.variance * weight / 2)
        if self.scores <= FIRST_SCORES or self.mean > self.best + STANDARD_ERRORS * standard_error:
            self.best, self.best_env_steps = self.mean, env_steps

    def ratio(self, env_steps: int) -> float | None:
        """The share of the steps so far since the score got better; None before there are enough scores.

        Args:
            env_steps: environment steps of the run so far, at least 1.
        """
        return None if self.scores < FIRST_SCORES else (env_steps - self.best_env_steps) / env_steps
