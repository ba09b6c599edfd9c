"""How a trial ended."""

import enum


class Outcome(enum.StrEnum):
    """The outcomes of a trial."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    """Its training broke: numbers that were not finite, a full memory, a budget of time."""
    INFEASIBLE = "infeasible"
    """Its values contradict one another, so nothing was trained."""
    LOST = "lost"
    """Its process ended without a word; another trial goes on with it."""
    PREEMPTED = "preempted"
    """It was stopped with the study, and goes on with it."""


COUNTED = (Outcome.COMPLETE, Outcome.PRUNED, Outcome.FAILED)
"""The outcomes that use up one of a study's trials."""
