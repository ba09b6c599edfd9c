"""A site's stack, opened by Pulumi's Automation API: what `slipway cloud` works on.

The program runs in this process, so that no language host, and no second installation, is needed; `pulumi up` in the
same folder works on the same stack.
"""

import dataclasses
import functools
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from infra import deployment, settings
from trainer.errors import MISSING, BadInput, SlipwayError, nearest

if TYPE_CHECKING:
    from pulumi import automation

T = TypeVar("T")

PROJECT = "slipway"
PROJECT_FILE = "Pulumi.yaml"
INSTALL = "install it: https://www.pulumi.com/docs/iac/download-install/"


@dataclasses.dataclass(frozen=True)
class Site:
    """A site that is, or is to be.

    Attributes:
        name: the stack's.
        folder: of `Pulumi.yaml` and the stack's configuration.
        stack: Pulumi's handle.
        planned: what the configuration means.
    """

    name: str
    folder: Path
    stack: "automation.Stack"
    planned: deployment.Deployment

    def outputs(self) -> Mapping[str, Any]:
        """The stack's outputs; empty if nothing has been made.

        Raises:
            SlipwayError: if Pulumi cannot read its state.
        """
        return {name: output.value for name, output in told(self.stack.outputs).items()}

    def resources(self) -> list[dict[str, Any]]:
        """What the stack's state has, as Pulumi exports it.

        Raises:
            SlipwayError: if Pulumi cannot read its state.
        """
        return list((told(self.stack.export_stack).deployment or {}).get("resources") or [])


def open_site(name: str | None, folder: Path) -> Site:
    """Open a stack, and check its configuration.

    Args:
        name: the stack's; None: the one that `pulumi stack select` has chosen.
        folder: with the project's `Pulumi.yaml`.

    Raises:
        BadInput, BadInputs: if Pulumi is missing, there is no such stack, or its configuration does not fit.
        SlipwayError: if Pulumi fails.
    """
    from infra import program

    automation = _automation()
    if not (folder / PROJECT_FILE).is_file():
        cure = "run this in a clone of slipway, or write --directory"
        raise BadInput("--directory", str(folder), f"a folder with slipway's {PROJECT_FILE}", cure)
    made = functools.partial(program.main, folder.absolute())
    workspace = told(functools.partial(automation.LocalWorkspace, work_dir=str(folder), program=made))
    if told(workspace.project_settings).name != PROJECT:
        raise BadInput("--directory", str(folder), f"the folder of the project {PROJECT}", "write --directory")
    stacks = told(workspace.list_stacks)
    names = [each.name for each in stacks]
    name = name or next((each.name for each in stacks if each.current), None)
    if name is None or name not in names:
        near = nearest(name, names) if name else None
        cure = f"write --stack {near}" if near else f"pulumi stack init {name or 'dev'}"
        raise BadInput("--stack", name or MISSING, f"a stack of this project: {', '.join(names) or 'none yet'}", cure)
    # Not `select_stack`: it would work in a folder of its own.
    stack = told(functools.partial(automation.Stack.select, name, workspace))
    found = told(stack.get_all_config)
    prefix = f"{settings.NAMESPACE}:"
    mine = {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}
    secret = {option for option, value in mine.items() if value.secret}
    read = settings.load({option: value.value for option, value in mine.items()}, secret, folder)
    return Site(name, folder, stack, deployment.plan(name, read))


def up_only(site: Site) -> Mapping[str, Any]:
    """The outputs of a site that is up.

    Raises:
        BadInput: if nothing has been made.
    """
    outputs = site.outputs()
    if not outputs:
        raise BadInput("--stack", site.name, "a site that is up", f"slipway cloud up --stack {site.name}")
    return outputs


def told(call: Callable[[], T]) -> T:
    """What Pulumi answers; its failures become errors of ours.

    Raises:
        BadInput: if it needs a passphrase or a login.
        SlipwayError: for everything else.
    """
    from pulumi.automation import errors

    try:
        return call()
    except errors.ConcurrentUpdateError as error:
        said = _words(error)
        raise SlipwayError(
            f"another update of this stack is under way, or was cut off: {said}\n"
            "  fix:     wait for it; if nobody works on it, `pulumi cancel` takes the lock away"
        ) from error
    except errors.CommandError as error:
        said = _words(error)
        if "PULUMI_CONFIG_PASSPHRASE" in said or "passphrase" in said:
            cure = "export PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE"
            raise BadInput("PULUMI_CONFIG_PASSPHRASE", "what it is now", "the stack's passphrase", cure) from None
        if "PULUMI_ACCESS_TOKEN" in said or "pulumi login" in said:
            cure = "`pulumi login s3://BUCKET`, `pulumi login gs://BUCKET`, or `pulumi login --local`"
            raise BadInput("pulumi login", MISSING, "a place for Pulumi's state", cure) from None
        raise SlipwayError(f"pulumi failed: {said}") from error


_LOCK = re.compile(r"created by \S+@(\S+) \(pid (\d+)\)")


def free(stack: "automation.Stack", error: BaseException | None) -> bool:
    """Take a stack's lock away if whoever held it was a process of this machine that is no more.

    Args:
        stack: whose.
        error: what Pulumi failed with.

    Returns:
        Whether it was taken away.
    """
    import psutil
    from pulumi.automation import errors

    held = _LOCK.findall(str(error)) if isinstance(error, errors.ConcurrentUpdateError) else []
    if not held or any(host != socket.gethostname() or psutil.pid_exists(int(pid)) for host, pid in held):
        return False
    told(stack.cancel)
    return True


def _words(error: Exception) -> str:
    """What Pulumi said went wrong, without what it printed besides."""
    text = str(error)
    said = text.rpartition("stderr:")[2] if "stderr:" in text else text
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return "\n  ".join(lines[:20]) or " ".join(text.split())[:500]


def _automation() -> Any:
    """Pulumi's Automation API.

    Raises:
        BadInput: if the package or the command is missing.
    """
    try:
        from pulumi import automation
    except ImportError:
        cure = "install slipway with its extra aws, gcp or cloud, such as `uv sync --extra cloud`"
        raise BadInput("pulumi", MISSING, "Pulumi's package for Python", cure) from None
    try:
        automation.PulumiCommand()
    except SlipwayError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise BadInput("pulumi", MISSING, f"Pulumi's command on the PATH ({reason})", INSTALL) from None
    return automation
