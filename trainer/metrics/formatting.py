"""Numbers as people like to read them; the terminal and the report share them."""

import math


def number(value: float | None) -> str:
    """Four significant digits at least, no exponent for everyday sizes: 4.812, 475, 12 345, 3.0e-07; `-` for none."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-4:
        return f"{value:.3g}"
    digits = max(0, 3 - math.floor(math.log10(size)))
    text = f"{value:,.{digits}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return text.rstrip("0").rstrip(".") if float(value).is_integer() and "." in text else text


def apart(*values: float) -> tuple[str, ...]:
    """Numbers that stand side by side, with as many decimals as show two digits of what lies between the extremes.

    At most 8: `apart(4.72999, 4.72890)` is `4.7300` and `4.7289`; `apart(-151.2, -128.9)` is `-151` and `-129`.
    """
    spread = max(values) - min(values)
    if not 1e-12 < spread < math.inf or any(not 1e-4 <= abs(value) < 1e7 for value in values if value):
        return tuple(number(value) for value in values)
    decimals = min(8, max(0, 1 - math.floor(math.log10(spread))))
    return tuple(f"{value:,.{decimals}f}".replace(",", "\N{NARROW NO-BREAK SPACE}") for value in values)


def percent(ratio: float | None) -> str:
    """A ratio of 0.0172 as `1.72 %`, with two digits that say something, however small it is."""
    if ratio is None or not math.isfinite(ratio):
        return "-"
    value = 100 * ratio
    size = abs(value)
    if size < 1e-6:
        return "0 %"
    small = 1 - math.floor(math.log10(size))
    digits = small if size < 0.0995 else 2 if size < 9.95 else 1 if size < 99.95 else 0
    return f"{value:.{digits}f} %"


def count(value: float | None) -> str:
    """A large count in thousands or millions: `950`, `41.2k`, `1.31M`."""
    if value is None or not math.isfinite(value):
        return "-"
    scaled, suffix = float(value), ""
    for larger in ("k", "M", "G"):
        if abs(scaled) < 999.5:
            break
        scaled, suffix = scaled / 1e3, larger
    return f"{scaled:.0f}{suffix}" if not suffix or abs(scaled) >= 99.95 else f"{scaled:.3g}{suffix}"


def duration(seconds: float | None) -> str:
    """Minutes and seconds, `0:42`, or hours as well, `1:02:03`."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def money(usd: float | None) -> str:
    """Dollars, down to hundredths of a cent: `$12.40`, `$0.0031`."""
    if usd is None or not math.isfinite(usd):
        return "-"
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"
