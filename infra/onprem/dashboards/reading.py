"""Dashboards as their files have them, for who asks Prometheus without Grafana: the preview, and the tests."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]
VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")


def panels(dashboard: Json) -> Iterator[Json]:
    """All panels but headings, those of closed rows among them."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def variables(dashboard: Json) -> dict[str, str]:
    """Each variable with what stands for all of its values."""
    return {each["name"]: each["allValue"] for each in dashboard["templating"]["list"]}


def substituted(expression: str, values: Mapping[str, str]) -> str:
    """An expression with values in place of its variables.

    Raises:
        KeyError: if it has another variable.
    """
    return VARIABLE.sub(lambda match: values[match[1] or match[2]], expression)


def legend(template: str, labels: Mapping[str, str]) -> str:
    """A series' name."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), template).strip()
