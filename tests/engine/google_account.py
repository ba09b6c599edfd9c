"""An account in the imitated Google Cloud: what stacks of tests are made in, and what is changed behind their back."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine import Engine
from google_provider.world import VARIABLE, World
from servers import gcs, gcs_environment

PLUGINS = Path(__file__).parent / "google_provider" / "plugins"
FRESH = frozenset(f"{each}.googleapis.com" for each in ("bigquery", "logging", "monitoring", "serviceusage", "storage"))
"""The services of a new project (https://cloud.google.com/service-usage/docs/enabled-service#default); others must be
switched on before they can be used."""
PROJECT, REGION = "slipway-test", "us-central1"


@dataclasses.dataclass(frozen=True)
class Account:
    """The account, with one project.

    Attributes:
        world: all that there is in it, but for what buckets hold.
        environment: for programs, providers, and clients of its buckets.
    """

    world: World
    environment: Mapping[str, str]

    def engine(self, folder: Path, **more: Any) -> Engine:
        """A stack whose resources are made in this account.

        Args:
            folder: a new one.
            more: other arguments of `Engine`.
        """
        return Engine(folder, plugins=[PLUGINS], environment=self.environment, **more)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Account]:
    """An account, for as long as this is entered.

    Args:
        folder: for what there is in it.
    """
    world = World.create(folder / "world.json", PROJECT, services=FRESH)
    with gcs() as address:
        yield Account(world, {VARIABLE: str(world.path), **gcs_environment(address)})
