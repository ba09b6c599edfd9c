"""Lines of a run's `log.jsonl`, read again."""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from trainer.logs.lines import Severity

Said = Mapping[str, Any]
"""One line, as `trainer.logs.lines.Line.encode` wrote it."""


def parse(data: bytes, least: Severity) -> list[Said]:
    """The lines that matter at least so much, in their order; what a crash left torn is left out.

    Args:
        data: of the file.
        least: severity.
    """
    found = []
    for text in data.splitlines():
        try:
            line = json.loads(text)
            order = list(Severity).index(Severity(line["severity"]))
        except (ValueError, KeyError, TypeError):
            continue
        if order >= list(Severity).index(least):
            found.append(line)
    return found


def words(line: Said) -> str:
    """A line for people: time, severity, run, words. It stays one: what follows a line's end within it is set in."""
    return plain(f"{line['time']} {line['severity']:<7} {line['run_id']}: {line['message']}")


def plain(text: str) -> str:
    """A text that a terminal can show: what would steer it, or turn the order of words, is spelled out."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n    ".join("".join(map(_shown, line)) for line in lines)


def _shown(character: str) -> str:
    if character.isprintable() or character == "\t" or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")
