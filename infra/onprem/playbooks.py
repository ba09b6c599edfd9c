"""Where the playbooks and roles are, and what roles say of their variables."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import trainer.bundle

FOLDER = (Path(trainer.bundle.__file__).parent / "ansible").resolve()
"""In a checkout `ansible/`; in a wheel the copy that it carries."""
EXAMPLE = FOLDER / "inventory/example"
ALL, NAS, GPU, MONITOR = "all", "nas", "gpu", "monitor"
GROUPS = (NAS, GPU, MONITOR)

ROLES: Mapping[str, str] = {
    "site": ALL,
    "base": ALL,
    "certificates": ALL,
    "firewall": ALL,
    "wireguard": ALL,
    "nvidia": GPU,
    "nas_server": NAS,
    "nas_client": GPU,
    "trainer": GPU,
    "monitoring": ALL,
    "grafana": MONITOR,
    "logs": ALL,
}
"""The roles in the order of `site.yml`, and whose hosts each is for."""
SHARED = ("site_ca_passphrase", "nas_transport", "site_lock", "trainer_home", "trainer_user")
"""Variables that several roles take their defaults from, and that are of none."""


@dataclasses.dataclass(frozen=True)
class Variable:
    """A variable of a role.

    Attributes:
        name: with the role's prefix.
        kind: `str`, `int`, `list` and so on.
        meaning: as `meta/argument_specs.yml` has it, in one line.
        required: whether the inventory must set it.
        choices: what it may be; empty: anything of its kind.
        default: as `defaults/main.yml` has it; None: it has none.
    """

    name: str
    kind: str
    meaning: str
    required: bool
    choices: tuple[Any, ...]
    default: Any


def has(role: str) -> bool:
    """Whether a role is there."""
    return (FOLDER / "roles" / role / "tasks").is_dir()


@functools.cache
def defaults(role: str) -> Mapping[str, Any]:
    """What a role's variables are where the inventory does not set them; expressions are not evaluated."""
    return _read(FOLDER / "roles" / role / "defaults/main.yml")


@functools.cache
def variables(role: str) -> tuple[Variable, ...]:
    """A role's variables: those of its `argument_specs` in their order, then what has a default alone."""
    options: Mapping[str, Mapping[str, Any]] = _specs(role).get("options", {})
    given = defaults(role)
    found = [_variable(name, spec or {}, given) for name, spec in options.items()]
    return (*found, *(_variable(name, {}, given) for name in given if name not in options))


def summary(role: str) -> str:
    """What a role does, in a line."""
    return str(_specs(role).get("short_description", "")).strip()


def _specs(role: str) -> Mapping[str, Any]:
    """What `main.yml` takes; other entry points are for roles among themselves."""
    found = _read(FOLDER / "roles" / role / "meta/argument_specs.yml").get("argument_specs", {})
    main: Mapping[str, Any] = found.get("main", {})
    return main


def _variable(name: str, spec: Mapping[str, Any], given: Mapping[str, Any]) -> Variable:
    meaning = spec.get("description", "")
    text = " ".join(meaning) if isinstance(meaning, list) else str(meaning)
    kind = str(spec.get("type", "str"))
    if kind == "list" and "elements" in spec:
        kind = f"list of {spec['elements']}"
    return Variable(
        name=name,
        kind=kind,
        meaning=" ".join(text.split()),
        required=bool(spec.get("required", False)),
        choices=tuple(spec.get("choices", ())),
        default=given.get(name, spec.get("default")),
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}
