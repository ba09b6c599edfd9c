"""What is asked of finished runs, as views of BigQuery: the store's tables, and the questions of `infra.queries`."""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator

from infra.queries import QUERIES
from trainer.store.tables import TABLES, Table

TIMES = ("started_at", "finished_at")
"""Columns that are texts in the files, and times in the views."""
_NAMED = re.compile(rf"\b(FROM|JOIN) ({'|'.join(table.name for table in TABLES)})\b")


@dataclasses.dataclass(frozen=True)
class View:
    """A view.

    Attributes:
        name: its own.
        help: what it says.
        query: its SQL, given the dataset's full name.
    """

    name: str
    help: str
    query: Callable[[str], str]


def files(table: str) -> str:
    """The name of the external table over a table's files."""
    return f"{table}_files"


def of_tables() -> Iterator[View]:
    """The store's tables as they are to be asked: without the file that is no run's, and with times as times."""
    for table in TABLES:
        yield View(table.name, table.help, functools.partial(_of_table, table))


def of_queries() -> Iterator[View]:
    """The questions that are often asked."""
    for query in QUERIES:
        yield View(query.name.lower().replace(" ", "_"), query.help, functools.partial(_qualified, query.sql))


def _of_table(table: Table, dataset: str) -> str:
    names = (column.name for column in table.columns)
    columns = ", ".join(f"TIMESTAMP({name}) AS {name}" if name in TIMES else name for name in names)
    source = f"`{dataset}.{files(table.name)}`"
    return f"SELECT {columns} FROM {source} WHERE run_id IS NOT NULL"  # noqa: S608 (all of it is written here)


def _qualified(sql: str, dataset: str) -> str:
    """The same with full names of tables, as a view of BigQuery needs them."""
    return _NAMED.sub(rf"\1 `{dataset}.\2` AS \2", sql)
