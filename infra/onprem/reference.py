"""The variables of a site's roles, and its ports: `python -m infra.onprem.reference > docs/reference/onprem.md`."""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from infra.onprem import playbooks, ports
from infra.onprem.playbooks import ROLES, Variable
from infra.onprem.ports import Port

HEADER = """\
# A site on your own servers: ports and variables

Generated from `ansible/roles` by `python -m infra.onprem.reference`; do not edit.

[From bare machines to the first run](../onprem.md). Variables go into the inventory, for a host or for all
(`group_vars/all/main.yml`); `slipway onprem check` says which are missing, misspelt or not allowed.

## Ports

One table, `site_ports` of role `site`: firewall, monitoring and checks read it as well. All other ports are closed.

| port | what listens | on | reached from |
|---|---|---|---|
"""
VARIABLES = """
`operators` are the networks of `site_operators`, `tunnel` the trainers' addresses in `site_tunnel_network`.

## Variables

"""
HIDDEN = re.compile(r"_state$")
"""What the playbooks set themselves; what has no meaning for operators is not shown either."""
REQUIRED = ("site_operators",)
"""Variables whose empty default `slipway onprem check` refuses."""
LONGEST = 60
"""Characters of a default that a table shows."""


def page() -> str:
    """The page, in Markdown."""
    rows, _ = ports.read(ports.shipped())
    return HEADER + "".join(map(_port, rows)) + VARIABLES + "\n".join(_roles())


def _port(row: Port) -> str:
    listens = ", ".join(row.to) + (" (itself alone)" if row.loopback else "")
    sources = "" if row.loopback else ", ".join(row.sources)
    only = f" (where `nas_transport` is `{row.transport}`)" if row.transport else ""
    return f"| {row.words}/{row.protocol} | {row.service}{only} | {listens} | {sources} |\n"


def _roles() -> Iterator[str]:
    for role, group in ROLES.items():
        if not playbooks.has(role):
            continue
        hosts = "all hosts" if group == playbooks.ALL else f"group `{group}`"
        yield f"### Role `{role}`\n\n{playbooks.summary(role)}. On {hosts}.\n"
        yield "| variable | meaning | kind | default |\n|---|---|---|---|"
        for variable in playbooks.variables(role):
            if variable.meaning and not HIDDEN.search(variable.name):
                yield _row(variable)
        yield ""


def _row(variable: Variable) -> str:
    kind = " or ".join(f"`{each}`" for each in variable.choices) or variable.kind
    meaning = _plain(variable.meaning)
    return f"| `{variable.name}` | {_cell(meaning)} | {_cell(kind)} | {_cell(_default(variable))} |"


def _plain(text: str) -> str:
    """Ansible's marks as Markdown."""
    return re.sub(r"[CVO]\(([^)]*)\)", r"`\1`", text)


def _default(variable: Variable) -> str:
    if variable.required or variable.name in REQUIRED:
        return "must be set"
    if variable.default is None or variable.default in ("", [], {}):
        return "none"
    text = variable.default if isinstance(variable.default, str) else _json(variable.default)
    text = " ".join(text.split())
    return f"`{text}`" if len(text) <= LONGEST else "see the role's `defaults/main.yml`"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
