"""One stack of a Pulumi project, driven by the real CLI: state in a folder, no network, nothing of the user's.

The program runs in the Python of these tests. Providers are executables named `pulumi-resource-<name>` in folders that
the caller puts first on PATH: the engine takes those before any that are installed.
"""

import collections
import contextlib
import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psutil
import yaml

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".tools" / "pulumi" / "bin"
"""Where `make .tools/.pulumi` puts a CLI if there is none on PATH."""

ANALYZERS = Path(__file__).parent / "analyzers"
"""Has the executable that runs a policy pack whose runtime is called `here`."""

SECONDS = 480
"""How long one command may take."""


@functools.cache
def cli() -> Path:
    """The folder of the `pulumi` that runs: the one on PATH, else what `make .tools/.pulumi` installed.

    Raises:
        FileNotFoundError: there is none.
    """
    found = shutil.which("pulumi") or shutil.which("pulumi", path=str(BUILT))
    if found is None:
        raise FileNotFoundError("no `pulumi` on PATH or in .tools/pulumi/bin: run `make .tools/.pulumi`")
    return Path(found).parent


@functools.cache
def version() -> str:
    """The CLI's version, such as `v3.259.0`."""
    return subprocess.check_output([cli() / "pulumi", "version"], text=True, env={"HOME": "/nonexistent"}).strip()


@dataclasses.dataclass(frozen=True)
class Step:
    """What the engine did, or in a preview would do, with one resource."""

    operation: str
    """`create`, `update`, `delete`, `same`, `read`, `refresh`, `replace`, `create-replacement`, `delete-replaced`."""
    urn: str
    changed: Mapping[str, Mapping[str, Any]]
    """Property path -> `diffKind` and `inputDiff`; empty unless a provider told what differs."""

    @property
    def type(self) -> str:
        """Its type, such as `aws:s3/bucket:Bucket`."""
        return self.urn.split("::")[2].split("$")[-1]

    @property
    def name(self) -> str:
        """Its logical name."""
        return self.urn.split("::")[3]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    arguments: tuple[str, ...]
    code: int
    """Its exit code."""
    output: str
    """Its standard output."""
    complaint: str
    """Its standard error."""
    events: tuple[Mapping[str, Any], ...]
    """The engine's event log: one JSON object an event."""
    seconds: float

    @property
    def text(self) -> str:
        """All that an operator would have read."""
        return self.output + self.complaint

    def succeeded(self) -> Self:
        """Itself.

        Raises:
            AssertionError: the exit code is not 0; with the text.
        """
        assert self.code == 0, f"pulumi {' '.join(self.arguments)} ended with {self.code}:\n{self.text}"
        return self

    def failed(self) -> Self:
        """Itself.

        Raises:
            AssertionError: the exit code is 0; with the text.
        """
        assert self.code != 0, f"pulumi {' '.join(self.arguments)} should have failed:\n{self.text}"
        return self

    @functools.cached_property
    def steps(self) -> tuple[Step, ...]:
        """What was carried out, or planned, in order; not the stack itself nor its providers."""
        told = (event["resOutputsEvent"]["metadata"] for event in self.events if "resOutputsEvent" in event)
        steps = (Step(one["op"], one["urn"], one.get("detailedDiff") or {}) for one in told)
        return tuple(step for step in steps if not step.type.startswith("pulumi:"))

    def did(self, *operations: str) -> list[Step]:
        """The steps with one of these operations."""
        return [step for step in self.steps if step.operation in operations]

    @property
    def created(self) -> list[Step]:
        return self.did("create")

    @property
    def updated(self) -> list[Step]:
        return self.did("update")

    @property
    def replaced(self) -> list[Step]:
        return self.did("replace")

    @property
    def deleted(self) -> list[Step]:
        return self.did("delete")

    @property
    def same(self) -> list[Step]:
        return self.did("same")

    @property
    def broken(self) -> list[str]:
        """The URNs of the resources on which an operation failed."""
        return [event["resOpFailedEvent"]["metadata"]["urn"] for event in self.events if "resOpFailedEvent" in event]

    @property
    def changes(self) -> dict[str, int]:
        """The engine's own summary: operation -> count, with the stack counted."""
        found: collections.Counter[str] = collections.Counter()
        for event in self.events:
            found.update(event.get("summaryEvent", {}).get("resourceChanges") or {})
        return dict(found)

    @property
    def errors(self) -> list[tuple[str, str]]:
        """URN (empty if none) and message of each error that was reported."""
        told = (event["diagnosticEvent"] for event in self.events if "diagnosticEvent" in event)
        return [(one.get("urn", ""), one["message"]) for one in told if one["severity"] == "error"]

    @property
    def violations(self) -> list[Mapping[str, Any]]:
        """What a policy pack objected to: `policyName`, `enforcementLevel`, `message`, `resourceUrn`."""
        return [event["policyEvent"] for event in self.events if "policyEvent" in event]


class Engine:
    """One stack of one project.

    Args:
        folder: a new one; has the state, configuration and all else that is written.
        plugins: folders with `pulumi-resource-<name>`, first on PATH.
        program: the folder of the project's `Pulumi.yaml`. Nothing is written there.
        environment: more variables, for the program and the providers. Of this process's own they get PATH and no
            other, so that no account of anyone is found.
        stack: its name.

    Attributes:
        folder: all that the commands wrote; what must be nowhere in clear is searched for in it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        plugins: Sequence[Path] = (),
        program: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        stack: str = "test",
    ) -> None:
        self.folder, self.program, self.stack = folder, program, stack
        self._settings = folder / "settings"
        self._file = self._settings / f"Pulumi.{stack}.yaml"
        self._commands = 0
        home, state = folder / "home", folder / "state"
        for made in (home, state, self._settings):
            made.mkdir(parents=True)
        path = [*plugins, ANALYZERS, Path(sys.executable).parent, cli(), ROOT / ".tools" / "bin"]
        self.environment = {
            "PATH": os.pathsep.join([*map(str, path), os.environ.get("PATH", os.defpath)]),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PYTHONPATH": str(ROOT),
            "PULUMI_HOME": str(home / ".pulumi"),
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "of a test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DEBUG_COMMANDS": "true",  # shows --event-log
            # The official language host starts programs by `uv run`, which must leave this environment as it is.
            "UV_NO_SYNC": "1",
            "UV_OFFLINE": "1",
            **(environment or {}),
        }
        # A new stack's settings are written beside its project: not into the source tree, so a copy has to do.
        shutil.copy(program / "Pulumi.yaml", self._settings)
        self._command("stack", "init", stack, "--no-select", folder=self._settings).succeeded()

    def config(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set configuration, as in `Pulumi.<stack>.yaml`; a name without a namespace gets the project's.

        Args:
            values: name -> string, number, boolean, list or mapping; None takes the name out.
            more: the same.
        """
        settings = yaml.safe_load(self._file.read_text())
        held = settings.setdefault("config", {})
        for name, value in {**(values or {}), **more}.items():
            full = name if ":" in name else f"{self._project}:{name}"
            held.pop(full, None)
            if value is not None:
                held[full] = value
        self._file.write_text(yaml.safe_dump(settings))

    def secrets(self, values: Mapping[str, str]) -> None:
        """Set configuration that is encrypted."""
        for name, value in values.items():
            arguments = ("config", "set", "--secret", name, "--stack", self.stack, "--config-file", str(self._file))
            self._command(*arguments, folder=self._settings, entered=value).succeeded()

    def preview(self, *options: str, policy_pack: Path | None = None) -> Outcome:
        """`pulumi preview`.

        Args:
            options: of the command, such as `--diff` or `--expect-no-changes`.
            policy_pack: the folder of a policy pack in Python, enforced by the engine.
        """
        return self._operation("preview", *options, policy_pack=policy_pack)

    def up(self, *options: str, expect_no_changes: bool = False, policy_pack: Path | None = None) -> Outcome:
        """`pulumi up` without the preview before it."""
        options = (*options, *(["--expect-no-changes"] if expect_no_changes else []))
        return self._operation("up", "--yes", "--skip-preview", *options, policy_pack=policy_pack)

    def refresh(self, *options: str, expect_no_changes: bool = False) -> Outcome:
        """`pulumi refresh`; with `--preview-only` among the options it only looks."""
        carried_out = () if "--preview-only" in options else ("--yes", "--skip-preview")
        options = (*options, *(["--expect-no-changes"] if expect_no_changes else []))
        return self._operation("refresh", *carried_out, *options)

    def destroy(self, *options: str, previewed: bool = False) -> Outcome:
        """`pulumi destroy`; the program is not run.

        Args:
            options: of the command.
            previewed: whether the command looks first, as it does if it is not told otherwise: with something
                protected it deletes nothing then. Its events are the steps that it planned, and those that it took.
        """
        return self._operation("destroy", "--yes", *([] if previewed else ["--skip-preview"]), *options)

    def state(self) -> Mapping[str, Any]:
        """The exported deployment."""
        exported = self._command("stack", "export", "--stack", self.stack, folder=self._settings).succeeded()
        return json.loads(exported.output)["deployment"]

    def resources(self) -> list[Mapping[str, Any]]:
        """What the state holds: no stack, no providers, no components."""
        held = self.state().get("resources", [])
        return [one for one in held if one["custom"] and not one["type"].startswith("pulumi:")]

    def resource(self, name: str, kind: str = "") -> Mapping[str, Any]:
        """The one resource in the state with this logical name, and this type (or the last word of it) if given."""
        (found,) = (
            one
            for one in self.resources()
            if one["urn"].split("::")[-1] == name and f":{one['type']}".endswith(kind and f":{kind}")
        )
        return found

    def outputs(self) -> Mapping[str, Any]:
        """The stack's outputs, secret ones in clear."""
        arguments = ("stack", "output", "--json", "--show-secrets", "--stack", self.stack)
        return json.loads(self._command(*arguments, folder=self._settings).succeeded().output)

    def containing(self, value: str) -> list[Path]:
        """The files among all that was written, event logs and backups too, that have a text in clear."""
        wanted = value.encode()
        files = (path for path in sorted(self.folder.rglob("*")) if path.is_file() and not path.is_symlink())
        return [path for path in files if wanted in path.read_bytes()]

    @functools.cached_property
    def _project(self) -> str:
        return yaml.safe_load((self.program / "Pulumi.yaml").read_text())["name"]

    def _operation(self, name: str, *options: str, policy_pack: Path | None = None) -> Outcome:
        if policy_pack is not None:
            options = (*options, "--policy-pack", str(self._pack(policy_pack)))
        self._commands += 1
        log = self.folder / f"{self._commands:02d}-{name}.events"
        common = ("--stack", self.stack, "--config-file", str(self._file), "--event-log", str(log))
        outcome = self._command(name, *common, "--suppress-progress", *options, folder=self.program)
        (log.with_suffix(".text")).write_text(outcome.text)
        return dataclasses.replace(outcome, events=tuple(_lines(log)))

    def _pack(self, folder: Path) -> Path:
        """A copy of a policy pack whose runtime is the analyzer beside this file.

        The language host that can be built today is older than the call by which the engine starts packs; an analyzer
        of another runtime is an executable on PATH, started alike by all.
        """
        copy = self.folder / f"pack-{self._commands}"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
        description = copy / "PulumiPolicy.yaml"
        description.write_text(yaml.safe_dump(yaml.safe_load(description.read_text()) | {"runtime": "here"}))
        return copy

    def _command(self, *arguments: str, folder: Path, entered: str = "") -> Outcome:
        began = time.monotonic()
        process = subprocess.Popen(
            [cli() / "pulumi", *arguments, "--non-interactive"],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            output, complaint = process.communicate(entered, timeout=SECONDS)
        except BaseException:
            while left := list(self.processes()):  # plugins and language hosts are in sessions of their own
                for each in left:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()
            process.communicate()
            raise
        return Outcome(arguments, process.returncode, output, complaint, (), time.monotonic() - began)

    def processes(self) -> Iterator[psutil.Process]:
        """What runs of this stack: the command, its language host, its plugins."""
        for process in psutil.process_iter():
            try:
                if process.environ().get("PULUMI_HOME") == self.environment["PULUMI_HOME"]:
                    yield process
            except psutil.Error:  # it has ended, or is somebody else's
                continue


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """The objects of a file with one JSON object a line; none if it is not there."""
    if path.is_file():
        yield from map(json.loads, path.read_text().splitlines())
