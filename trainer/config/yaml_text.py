"""YAML as a run file means it: plain values only, each key once, errors with line and column.

There are no tags and no aliases: what is read has a type that one can see and is no larger than its text, so that no
file can keep the machine busy.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

import yaml

from trainer.errors import BadInput

_NULL = re.compile(r"(~|null|Null|NULL|)\Z")
_TRUE_FALSE = re.compile(r"(true|True|TRUE|false|False|FALSE)\Z")
_INTEGER = re.compile(r"[-+]?[0-9](_?[0-9])*\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9](_?[0-9])*(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_DIGITS = list("-+0123456789")

MAXIMUM_DEPTH = 32
"""How deep values may lie in one another: a run file itself needs five."""


class _Problem(yaml.MarkedYAMLError):
    """A value that YAML has and a run file may not have."""

    def __init__(self, mark: Any, value: object, allowed: str, cure: str) -> None:
        super().__init__(problem_mark=mark)
        self.value, self.allowed, self.cure = value, allowed, cure


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core types, for PyYAML's own (1.1) read `3e-4` as a word, `no` as false and `1:30` as 90."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own attribute, made fresh for this class)
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A value, if it is a plain one."""
        event = self.peek_event()
        mark, tag = event.start_mark, getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent):
            raise _Problem(mark, f"*{event.anchor}", "values, no aliases", "write the value itself in its place")
        if tag is not None:
            raise _Problem(mark, tag, "values without tags", "take the tag out")
        if self.depth == MAXIMUM_DEPTH:
            cure = "make it flatter"
            raise _Problem(mark, "its nesting", f"mappings and lists up to {MAXIMUM_DEPTH} levels deep", cure)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are words, each there once."""
        seen: dict[str, Any] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _Problem(key_node.start_mark, key, "a word as the key", f'write it in quotes: "{key}"')
            if key in seen:
                allowed = f"each key once in a mapping; line {seen[key].line + 1} has it already"
                raise _Problem(key_node.start_mark, key, allowed, "take one of the two out")
            seen[key] = key_node.start_mark
        return super().construct_mapping(node, deep)

    def construct_number(self, node: Any) -> int | float:
        """A whole or decimal number; infinities are refused by whom they reach, as no run file can hold them."""
        text = str(node.value).replace("_", "")
        try:
            number = int(text) if _INTEGER.match(node.value) else float(text)
        except ValueError as error:  # an integer of thousands of digits
            raise _Problem(
                node.start_mark, f"{text[:20]}...", "numbers up to 1e308", "write a smaller number"
            ) from error
        if not math.isfinite(number):
            raise _Problem(node.start_mark, node.value, "numbers up to 1e308", "write a smaller number")
        return number


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _TRUE_FALSE, list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, _DIGITS)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, [*_DIGITS, "."])
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""])
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)


def parse(text: str, source: str) -> Any:
    """The value that a YAML text holds: mappings with words as keys, lists, words, finite numbers, booleans, null.

    Args:
        text: the text.
        source: what to call it in an error: a file's path, or an option.

    Raises:
        BadInput: if it is no YAML, or has a key twice; with line and column.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a safe loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if mark else source
        if isinstance(error, _Problem):
            raise BadInput(where, error.value, error.allowed, error.cure) from None
        problem = (error.problem or error.context or "it cannot be read").replace("\n", " ")
        cure = "mend that line; lists and mappings are indented by spaces, and `key: value` has a space after the colon"
        raise BadInput(where, _line(text, mark), f"YAML ({problem})", cure) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        cure = "take the character out, or save the file as plain UTF-8 text"
        raise BadInput(
            f"{source}, line {line}, column {column}", chr(error.character), "printable characters", cure
        ) from None


def _line(text: str, mark: Any) -> str:
    lines = text.splitlines()
    return lines[mark.line].strip() if mark and mark.line < len(lines) else "the end of the text"


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader` would read as another type, so that what is written is read as the same."""

    yaml_implicit_resolvers: dict[str, Any] = {  # noqa: RUF012 (PyYAML's own attribute)
        key: [*yaml.SafeDumper.yaml_implicit_resolvers.get(key, []), *_Loader.yaml_implicit_resolvers.get(key, [])]
        for key in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
    }

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value that is there twice twice, as `_Loader` takes no aliases."""
        del data
        return True

    def represent_list(self, data: Iterable[Any]) -> Any:
        """Lists in one line: `[64, 64]`."""
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)


_Dumper.add_representer(list, _Dumper.represent_list)


def dump(value: Any) -> str:
    """A value as YAML, keys in the given order; `parse` gives the same value back."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=100)


def inline(value: Any) -> str:
    """A value as YAML in one line."""
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()
