"""Numbers as Grafana writes them, about."""

import math

from trainer.metrics import formatting

DURATIONS = ((86400, "d"), (3600, "h"), (60, "min"))
"""Seconds, and what so many are called."""


def written(value: float, unit: str, spread: float) -> str:
    """A number with its unit.

    Args:
        value: the number.
        unit: Grafana's word.
        spread: how much of the axis is seen, which says how many digits are worth reading.
    """
    if not math.isfinite(value):
        return "-"
    match unit:
        case "percentunit":
            digits = 0 if spread >= 0.05 else 1 if spread >= 0.005 else 2
            return f"{100 * value:.{digits}f} %"
        case "s":
            return _duration(value, spread)
        case "bytes" | "binBps":
            return _bytes(value) + ("/s" if unit == "binBps" else "")
        case "currencyUSD":
            return formatting.money(value) if value >= 0 else f"-{formatting.money(-value)}"
        case "watt":
            return f"{_whole(value, spread)} W"
        case "celsius":
            return f"{_whole(value, spread)} °C"
        case "hertz":
            return f"{_whole(value / 1e6, spread / 1e6)} MHz"
    suffix = unit.removeprefix("suffix:") if unit.startswith("suffix:") else ""
    return f"{_short(value, spread)}{suffix}"


def scale(most: float, unit: str) -> float:
    """What the greatest number of an axis is counted in: marks at 5, 10 and 15 GiB are read, those at 5.59 are not.

    Args:
        most: the greatest number.
        unit: Grafana's word.
    """
    if unit in ("bytes", "binBps"):
        return float(1024 ** min(4, int(math.log2(most) // 10))) if most >= 1 else 1.0
    if unit == "s":
        return next((float(size) for size, _ in DURATIONS if most >= size), 1.0)
    return 1.0


def _whole(value: float, spread: float) -> str:
    return f"{value:.0f}" if spread >= 5 else _short(value, spread)


def _short(value: float, spread: float) -> str:
    if abs(value) >= 1000:
        return formatting.count(value) if value >= 0 else f"-{formatting.count(-value)}"
    if value and abs(value) < 1e-4:
        return f"{value:.1e}"
    digits = min(6, max(0, 2 - math.floor(math.log10(spread)))) if spread > 0 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _duration(seconds: float, spread: float) -> str:
    for size, word in DURATIONS:
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {word}"
    if abs(seconds) >= 1 or not seconds:
        return f"{_short(seconds, spread)} s"
    return f"{1000 * seconds:.3g} ms"


def _bytes(value: float) -> str:
    size = abs(value)
    for word in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{math.copysign(size, value):.3g} {word}"
        size /= 1024
    return f"{math.copysign(size, value):.3g} TiB"
