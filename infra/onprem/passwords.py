"""The passwords that Ansible needs: they go to its prompts, and are in no argument, no environment and no file."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Passwords:
    """What was asked, or where it is.

    Attributes:
        become: for sudo on the hosts; None: it asks for none.
        vault: what opens encrypted variables; None: none are, or a file has it.
        vault_file: that file, or a program that prints the password.
    """

    become: str | None = dataclasses.field(default=None, repr=False)
    vault: str | None = dataclasses.field(default=None, repr=False)
    vault_file: Path | None = None

    def vault_options(self) -> list[str]:
        """Ansible's options to open encrypted variables."""
        if self.vault is not None:
            return ["--ask-vault-pass"]
        return [] if self.vault_file is None else ["--vault-password-file", str(self.vault_file.resolve())]

    def options(self) -> list[str]:
        """Ansible's options for all of them."""
        return self.vault_options() + ([] if self.become is None else ["--ask-become-pass"])

    def answers(self) -> Mapping[str, str]:
        """What to answer to which prompt, as regular expressions."""
        known = {r"^BECOME password(\[[^\]]*\])?: ?$": self.become, r"^Vault password: ?$": self.vault}
        return {prompt: answer for prompt, answer in known.items() if answer is not None}
