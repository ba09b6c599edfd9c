"""The pages' templates with their filters: numbers, sentences and values as people read them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.metrics import formatting

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def environment() -> "Environment":
    """Jinja's environment on this folder; what a template asks for and is not there is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        number=formatting.number,
        percent=formatting.percent,
        count=formatting.count,
        duration=formatting.duration,
        prose=prose,
        plain=plain,
    )
    return made


def prose(text: str) -> "Markup":
    """A sentence as HTML: words between backticks are code, and a number stays with its per cent sign."""
    from markupsafe import Markup, escape

    kept = str(escape(text)).replace(" %", "\N{NO-BREAK SPACE}%")
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", kept))  # noqa: S704 - escaped in the line above


def plain(value: Any) -> str:
    """A value of a JSON file in words."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value)
    return str(value)
