"""Tables, ratios and progress lines."""

import statistics
import sys
from collections.abc import Sequence


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table's lines; numbers stand on the right."""
    if any(len(row) != len(head) for row in rows):
        raise ValueError("a row has another number of cells than the head")
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in rows)]


def middle(values: Sequence[float]) -> str:
    """Median (lowest to highest), with three digits."""
    if not values:
        return "-"
    shown = digits(statistics.median(values))
    return shown if len(values) == 1 else f"{shown} ({digits(min(values))} to {digits(max(values))})"


def digits(value: float) -> str:
    """A number with three significant digits and no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Round by round, so that a machine whose speed drifts weighs on both sides alike."""
    if len(numerators) != len(denominators):
        raise ValueError(f"{len(numerators)} rounds of one program, {len(denominators)} of the other")
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def progress(text: str) -> None:
    """A line that the next one replaces, on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def say(text: str) -> None:
    """A line that stays."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
