"""Which trials end early."""

from typing import Any

PRUNERS = ("median", "successive-halving", "none")
"""By name; the first is the default."""
FIRST_TRIALS = 5
"""So many trials come to their end before the median prunes any."""


def pruner(name: str) -> Any:
    """Optuna's pruner of a name.

    The median rule (Golovin et al. 2017, https://doi.org/10.1145/3097983.3098043, section 3.2.2), or successive halving
    without waiting for others (Li et al. 2020, https://arxiv.org/abs/1810.05934).
    """
    import optuna

    match name:
        case "median":
            return optuna.pruners.MedianPruner(n_startup_trials=FIRST_TRIALS)
        case "successive-halving":
            return optuna.pruners.SuccessiveHalvingPruner()
        case _:
            return optuna.pruners.NopPruner()
