"""Options that the commands of a site share."""

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trainer.errors import MISSING, BadInput, SlipwayError
from trainer.run import files

if TYPE_CHECKING:
    from infra.onprem.display import Display
    from infra.onprem.passwords import Passwords
    from infra.onprem.site import Site

T = TypeVar("T")
INVENTORY_VARIABLE = "SLIPWAY_INVENTORY"
PLAYBOOKS_VARIABLE = "SLIPWAY_PLAYBOOKS"


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What the shared options say.

    Attributes:
        inventory: its file or folder.
        limit: hosts or groups; None: all.
        ask_become: whether to ask for sudo's password.
        become_file: a file with it.
        ask_vault: whether to ask for the vault's password.
        vault_file: a file with it, or a program that prints it.
        artifacts: where to keep what Ansible said.
        playbooks: the folder of playbooks; None: slipway's own.
    """

    inventory: Path
    limit: str | None
    ask_become: bool
    become_file: Path | None
    ask_vault: bool
    vault_file: Path | None
    artifacts: Path | None
    playbooks: Path | None


def site_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say which site, and with which passwords; the command gets them as `chosen`."""

    @functools.wraps(function)
    def with_chosen(**given: Any) -> Any:
        fields = {field.name: given.pop(field.name) for field in dataclasses.fields(Chosen)}
        return function(chosen=Chosen(**fields), **given)

    options = (
        click.option(
            "--inventory", "-i", envvar=INVENTORY_VARIABLE, show_envvar=True, type=click.Path(path_type=Path),
            default=Path(), show_default="the working folder", metavar="PATH",
            help="The site's inventory: a file, or a folder with hosts.yml.",
        ),
        click.option("--limit", "-l", metavar="PATTERN", help="Only these hosts or groups, as Ansible's --limit."),
        click.option("--ask-become-pass", "-K", "ask_become", is_flag=True, help="Ask for sudo's password."),
        click.option(
            "--become-password-file", "become_file", type=click.Path(path_type=Path), metavar="FILE",
            help="A file with sudo's password.",
        ),
        click.option("--ask-vault-pass", "-J", "ask_vault", is_flag=True, help="Ask for the vault's password."),
        click.option(
            "--vault-password-file", "vault_file", type=click.Path(path_type=Path), metavar="FILE",
            help="A file with the vault's password, or a program that prints it.",
        ),
        click.option(
            "--artifacts", type=click.Path(path_type=Path), metavar="FOLDER",
            help="Where to keep what Ansible says; left out, the user's state folder.",
        ),
        click.option(
            "--playbooks", envvar=PLAYBOOKS_VARIABLE, show_envvar=True, type=click.Path(path_type=Path),
            show_default="slipway's own", metavar="FOLDER", help="A changed copy of slipway's playbooks and roles.",
        ),
    )  # fmt: skip
    decorated: Callable[..., Any] = with_chosen
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def open_site(chosen: Chosen, *, as_json: bool, quiet: bool) -> "Site":
    """The site that the options mean; asks for passwords that are needed and not given.

    Raises:
        BadInput: if a file with a password cannot be read, or there is no inventory.
        BadInputs: for all that is wrong with the inventory, together.
    """
    from infra.onprem import display
    from infra.onprem.inventory import VaultLocked

    passwords = _passwords(chosen)
    shown = display.fitting(as_json=as_json, quiet=quiet)
    try:
        return _open(chosen, passwords, shown)
    except VaultLocked:
        if passwords.vault_options() or not sys.stdin.isatty():
            raise
    passwords = dataclasses.replace(passwords, vault=_ask("Vault password"))
    return _open(chosen, passwords, shown)


def _open(chosen: Chosen, passwords: "Passwords", shown: "Display") -> "Site":
    from infra.onprem import site

    return site.open_site(chosen.inventory, chosen.limit, passwords, chosen.artifacts, shown, chosen.playbooks)


def _passwords(chosen: Chosen) -> "Passwords":
    from infra.onprem.passwords import Passwords

    become = None if chosen.become_file is None else _read(chosen.become_file, "--become-password-file")
    if chosen.ask_become:
        become = _ask("sudo password")
    vault, file = None, chosen.vault_file
    if file is not None and not files.is_file(file):  # such as `<(pass site)`, which can be read once
        vault, file = _read(file, "--vault-password-file"), None
    return Passwords(become, _ask("Vault password") if chosen.ask_vault else vault, file)


def _read(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(option, str(path), "a file that can be read", f"mend it: {error}") from error


def _ask(what: str) -> str:
    answer: str = click.prompt(what, hide_input=True, default="", show_default=False, err=True)
    return answer


def asked(option: str, allowed: str, ask: Callable[[], T]) -> T:
    """What somebody answers.

    Args:
        option: what gives the answer beforehand.
        allowed: what it may be.
        ask: asks.

    Raises:
        BadInput: if nobody is there to answer.
    """
    try:
        return ask()
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise BadInput(option, MISSING, f"{allowed}, as nobody answers", f"write {option}") from None


class Patience:
    """Tells what is wrong while something is tried again and again: once, until it goes well or is something else."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._told = tell, ""

    def __call__(self, error: SlipwayError) -> None:
        """Tell it."""
        text = "\n".join(line for line in str(error).splitlines() if not line.startswith("  artifacts: "))
        if text != self._told:
            self._tell(f"{text}\n  looking again, until Ctrl-C")
        self._told = text

    def over(self) -> None:
        """It went well."""
        self._told = ""


def say(text: str) -> None:
    """Tell people, on standard error."""
    click.echo(text, err=True)
