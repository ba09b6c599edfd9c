"""The keys of a site as a page of the docs: `python -m infra.reference > docs/reference/site.md`."""

import sys

from infra import lifecycle
from infra.settings import DEFAULT_MACHINES, KEYS, NAMES, Key

HEADER = """\
# A site's configuration

Generated from `infra/settings.py` and `infra/lifecycle.py` by `python -m infra.reference`; do not edit.

A site is a stack of Pulumi, and these are the keys of its configuration: `pulumi config set slipway:KEY VALUE`. All are
checked before anything is made, and everything that is wrong is said at once. `--secret` keeps any of them encrypted.
[AWS](../aws.md), [Google Cloud](../gcp.md).

| key | meaning | allowed | left out |
|---|---|---|---|
"""
LIFECYCLES = """
## Lifecycles

`slipway:lifecycle` decides all of this together:

"""


def page() -> str:
    """The page, in Markdown."""
    return HEADER + "".join(map(_row, KEYS)) + LIFECYCLES + lifecycle.table() + "\n"


def _row(key: Key) -> str:
    only = "" if len(key.clouds) > 1 else f" {NAMES[key.clouds[0]]} alone."
    return f"| `{key.option}` | {key.meaning}{only} | {key.allowed} | {_default(key)} |\n"


def _default(key: Key) -> str:
    if key.name == "machines":
        return "; ".join(f"{NAMES[cloud]}: {', '.join(found)}" for cloud, found in DEFAULT_MACHINES.items())
    if key.default is not None:
        return f"`{key.default}`"
    return "must be set" if key.required else "none"


if __name__ == "__main__":
    sys.stdout.write(page())
