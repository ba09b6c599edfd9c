"""Names of runs."""

import re
import secrets
from datetime import UTC, datetime

from trainer.config.models import NAME_PATTERN, RunFile
from trainer.errors import BadInput

_NAME = re.compile(NAME_PATTERN)
ALLOWED = "letters, digits, dots, dashes and underscores, starting with a letter or digit, at most 100"


def new(run_file: RunFile) -> str:
    """A fresh id: the run's name, the time in UTC, and some random digits, so that two machines never make the same."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return f"{name(run_file)[:75]}-{stamp}-{secrets.token_hex(3)}"


def name(run_file: RunFile) -> str:
    """The run's name: the run file's, or one of environment and algorithm (`lostsales-ppo`)."""
    if run_file.name is not None:
        return run_file.name
    task = re.split(r"[/:]", run_file.env.id)[-1].lower()
    plain = re.sub(r"[^a-z0-9]+", "-", re.sub(r"-v\d+$", "", task)).strip("-")
    return f"{plain or 'run'}-{run_file.agent.algorithm}"


def check(run_id: str) -> str:
    """A run id that a person chose.

    Raises:
        BadInput: if it could not name a folder.
    """
    if not _NAME.fullmatch(run_id):
        raise BadInput("--run-id", run_id, ALLOWED, "choose another id, or leave --run-id out to get one")
    return run_id
