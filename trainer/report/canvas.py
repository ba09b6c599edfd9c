"""Where figures are drawn: matplotlib in the house's style, made into SVG that takes its colours from the page.

Colours are placeholders while matplotlib draws; `svg` turns each into `var(--...)`, so a figure follows the page from
light to dark.
"""

import contextlib
import enum
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, GRID, ACCENT, PAPER = "#111101", "#111102", "#111103", "#111104", "#111105"
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", ACCENT: "accent", PAPER: "paper"}


class Cut(enum.Enum):
    """For which page a figure is drawn: its width in inches (72 units of the SVG each)."""

    WIDE = 7.4
    NARROW = 3.7


@contextlib.contextmanager
def drawing(cut: Cut, height: float) -> Iterator["Figure"]:
    """A figure in the house's style; matplotlib's global state stays as it was."""
    import matplotlib
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "slipway",
        "text.parse_math": False,  # a name with two dollar signs is no formula
        "font.size": 8.5,
        "axes.titlesize": 8.5,
        "axes.titlelocation": "left",
        "axes.labelsize": 8.5,
        "text.color": INK,
        "axes.titlecolor": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": GRID,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.formatter.useoffset": False,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": GRID,
        "ytick.color": GRID,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "figure.facecolor": "none",
    }
    with matplotlib.rc_context(style):
        yield Figure(figsize=(cut.value, height), layout="constrained")


def svg(figure: "Figure", name: str) -> str:
    """The figure as an SVG element that can stand in a page beside others: own ids, the page's colours, no metadata."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    # The words of a figure are in its label and its table; a reader of the page need not hear each tick.
    return text.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
