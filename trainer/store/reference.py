"""The tables of finished runs as a page of the docs: `python -m trainer.store.reference > docs/reference/tables.md`."""

import sys

from trainer.store.tables import FOLDER, SUFFIX, TABLES, Table

HEADER = f"""\
# Tables of finished runs

Generated from `trainer/store/tables.py` by `python -m trainer.store.reference`; do not edit.

When a run in a [store](../stores.md) is finished, its rows are put into these tables:
`<store>/{FOLDER}/TABLE/RUN{SUFFIX}`, a JSON object a line. Any column may be null.
"""


def page() -> str:
    """The page, in Markdown."""
    return HEADER + "".join(map(_section, TABLES))


def _section(table: Table) -> str:
    rows = "".join(f"| `{each.name}` | {each.type} | {each.help} |\n" for each in table.columns)
    return f"\n## `{table.name}`\n\n{table.help}\n\n| Column | Type | Meaning |\n|---|---|---|\n{rows}"


if __name__ == "__main__":
    sys.stdout.write(page())
