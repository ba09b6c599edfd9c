"""What a run may cost, and when it has."""

from trainer.config.models import Budget


def cost_usd(budget: Budget, wall_time_seconds: float) -> float | None:
    """What the training time has cost, or None if the price is not known."""
    price = budget.price_usd_per_hour
    return None if price is None else price * wall_time_seconds / 3600


def seconds_left(budget: Budget, wall_time_seconds: float) -> float:
    """Training time until the first limit of time or money is reached; infinite without limits, 0 when over."""
    limits = [float("inf")]
    if budget.wall_time_seconds is not None:
        limits.append(budget.wall_time_seconds)
    if budget.cost_usd is not None and budget.price_usd_per_hour:
        limits.append(budget.cost_usd / budget.price_usd_per_hour * 3600)
    return max(0.0, min(limits) - wall_time_seconds)


def reached(budget: Budget, wall_time_seconds: float) -> str | None:
    """The limit that is reached, in words; None if none is."""
    if seconds_left(budget, wall_time_seconds) > 0:
        return None
    if budget.wall_time_seconds is not None and wall_time_seconds >= budget.wall_time_seconds:
        return f"the training time reached budget.wall_time_seconds = {budget.wall_time_seconds:g}"
    return f"the cost reached budget.cost_usd = {budget.cost_usd:g}"
