"""What every component of a site must know: its name, its settings, its runs."""

import dataclasses
import re
from collections.abc import Mapping
from functools import cached_property

from infra import machines
from infra.settings import Settings
from trainer.config.models import RunFile
from trainer.errors import BadInput

STACK_TAG = "slipway-stack"
"""The tag, or label, with the stack's name."""
_STACK = re.compile(r"[a-z]([a-z0-9-]{0,14}[a-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of the site, which trains on a machine of its own.

    Attributes:
        run_id: its name in the store: known before anything is made, and the same for the same run file.
        run_file: as it was given, with the seed; `bundle.build` says where it trains.
    """

    run_id: str
    run_file: RunFile


@dataclasses.dataclass(frozen=True)
class Deployment:
    """A site that is to be.

    Attributes:
        stack: the stack's name.
        settings: its configuration.
        runs: what it trains.
    """

    stack: str
    settings: Settings
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """What the names of all its resources begin with, `slipway-STACK`: at most 24 characters."""
        return f"slipway-{self.stack}"

    def named(self, what: str) -> str:
        """A logical name, `slipway-dev-nodes`; Pulumi adds random characters to make it a physical one."""
        return f"{self.name}-{what}"

    @cached_property
    def tags(self) -> Mapping[str, str]:
        """What marks each resource as the site's, so that whoever sweeps the account finds it.

        Keys are allowed as tags in AWS and as labels in Google Cloud.
        """
        return {
            STACK_TAG: self.stack,
            "managed-by": "pulumi",
        }

    @property
    def metric_namespace(self) -> str:
        """CloudWatch's name for the site's metrics."""
        return f"Slipway/{self.stack}"

    @property
    def log_name(self) -> str:
        """The name of the site's log in Cloud Logging."""
        return self.name

    @property
    def price_usd_per_hour(self) -> float:
        """What a machine costs at most: the dearest of its types, on demand."""
        settings = self.settings
        return max(float(machines.price_per_hour(settings.cloud, each, settings.region)) for each in settings.machines)


def plan(stack: str, settings: Settings) -> Deployment:
    """The site that a stack's configuration means.

    Raises:
        BadInput, BadInputs: if the stack's name or the run file does not fit; nothing has been made then.
    """
    from trainer.bundle import build
    from trainer.config import source
    from trainer.run import group

    if not _STACK.fullmatch(stack):
        allowed = "up to 16 small letters, digits and dashes, as names of resources are made of it"
        raise BadInput("stack", stack, allowed, "pulumi stack init dev")
    run_file = source.run_file(settings.run, ())
    files = group.with_seeds(run_file, settings.seeds)
    return Deployment(stack, settings, tuple(Run(build.default_run_id(file, 1), file) for file in files))
