"""The Terraform AWS provider: a process, and the calls of Terraform's plugin protocol 5.

Values are plain Python data in the exact shape of the provider's schema: None is null, UNKNOWN is not known yet.
"""

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from aws_provider.values import decode, encode, without_unknown

messages, services = grpc.protos_and_services("aws_provider/terraform.proto")

COOKIE = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"
"""What every Terraform provider wants to be told, so that nobody starts it by mistake."""

START_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """What a provider says is wrong.

    Attributes:
        steps: from the resource to the attribute: names, keys and indices.
        text: in words.
    """

    steps: tuple[str | int, ...]
    text: str


class Failed(Exception):
    """A call that the provider refused, or could not carry out.

    Attributes:
        diagnostics: what is wrong.
        state: of a resource that was made or changed in part; None: nothing was.
        private: the provider's own notes on it.
    """

    def __init__(self, diagnostics: Sequence[Diagnostic], state: Any = None, private: bytes = b"") -> None:
        super().__init__("; ".join(each.text for each in diagnostics))
        self.diagnostics, self.state, self.private = diagnostics, state, private


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a provider would make of a resource.

    Attributes:
        state: the planned one.
        private: the provider's own notes.
        forcing: the attributes that cannot be changed in place.
    """

    state: Any
    private: bytes
    forcing: frozenset[str]


def start(executable: Path, endpoint: str, log: Path) -> tuple[subprocess.Popen[bytes], grpc.Channel]:
    """Start a provider, which ends with this process.

    Args:
        executable: the provider.
        endpoint: of the imitation of AWS; the provider is told of no other, and of no account.
        log: a file for its complaints.

    Raises:
        RuntimeError: it does not start.
    """
    sockets = Path(tempfile.mkdtemp(prefix="terraform-"))  # a short name: sockets' are limited
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_") and "proxy" not in name.lower()
    } | {
        "TF_PLUGIN_MAGIC_COOKIE": COOKIE,
        "PLUGIN_PROTOCOL_VERSIONS": "5",
        "PLUGIN_UNIX_SOCKET_DIR": str(sockets),
        # One address for all services. The provider's own `endpoints` do the same, but take it 5 s to validate.
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    try:
        with log.open("ab") as complaints:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", executable],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
            )
        assert process.stdout is not None
        told = process.stdout.readline().decode().strip().split("|")
        if len(told) < 4:
            raise RuntimeError(f"{executable} does not start: {log.read_text()}")
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        channel = grpc.insecure_channel(f"unix:{told[3]}", options=unlimited)
        grpc.channel_ready_future(channel).result(timeout=START_SECONDS)
    finally:
        shutil.rmtree(sockets)  # connected, it needs no name; nothing is left however it ends
    return process, channel


class Provider:
    """A provider that has been started.

    Args:
        channel: to it.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = services.ProviderStub(channel)

    @functools.cached_property
    def schema(self) -> Any:
        """Of its configuration, its resources and its data sources: 5 MB, which takes a second."""
        return self._stub.GetSchema(messages.Empty())

    def configure(self, config: Any) -> None:
        """Give it its configuration."""
        self._call("PrepareProviderConfig", messages.PrepareRequest(config=_value(config)))
        self._call("Configure", messages.ConfigureRequest(terraform_version="1.9.0", config=_value(config)))

    def validate(self, name: str, config: Any) -> None:
        """Have a resource's configuration checked."""
        self._call("ValidateResourceTypeConfig", messages.ValidateRequest(type_name=name, config=_value(config)))

    def plan(self, name: str, prior: Any, proposed: Any, config: Any, private: bytes) -> Plan:
        """What it would make of a resource."""
        request = messages.PlanRequest(
            type_name=name,
            prior_state=_value(prior),
            proposed_new_state=_value(proposed),
            config=_value(config),
            prior_private=private,
        )
        reply = self._call("PlanResourceChange", request)
        forcing = frozenset(path.steps[0].attribute_name for path in reply.requires_replace)
        return Plan(decode(reply.planned_state.msgpack), reply.planned_private, forcing)

    def apply(self, name: str, prior: Any, planned: Any, config: Any, private: bytes) -> tuple[Any, bytes]:
        """Carry a plan out; gives the state and the provider's own notes.

        Args:
            name: of the type.
            prior: the state; None: make it.
            planned: the planned state; None: delete it.
            config: the configuration.
            private: the plan's notes.
        """
        request = messages.ApplyRequest(
            type_name=name,
            prior_state=_value(prior),
            planned_state=_value(planned),
            config=_value(config),
            planned_private=private,
        )
        reply = self._call("ApplyResourceChange", request)
        return without_unknown(decode(reply.new_state.msgpack)), reply.private

    def read(self, name: str, state: Any, private: bytes) -> tuple[Any, bytes]:
        """What there is of a resource by now; a state of None: nothing."""
        request = messages.ReadRequest(type_name=name, current_state=_value(state), private=private)
        reply = self._call("ReadResource", request)
        return decode(reply.new_state.msgpack), reply.private

    def upgrade(self, name: str, version: int, state: Any) -> Any:
        """A kept state as the provider wants it: Terraform's core has every one that it loads looked through so."""
        raw = messages.RawState(json=json.dumps(state).encode())
        reply = self._call(
            "UpgradeResourceState", messages.UpgradeRequest(type_name=name, version=version, raw_state=raw)
        )
        return decode(reply.upgraded_state.msgpack)

    def import_state(self, name: str, identifier: str) -> tuple[Any, bytes]:
        """The state of a resource that is known by its id alone."""
        reply = self._call("ImportResourceState", messages.ImportRequest(type_name=name, id=identifier))
        return decode(reply.imported_resources[0].state.msgpack), reply.imported_resources[0].private

    def read_data(self, name: str, config: Any) -> Any:
        """What a data source gives."""
        self._call("ValidateDataSourceConfig", messages.ValidateRequest(type_name=name, config=_value(config)))
        reply = self._call("ReadDataSource", messages.ReadDataRequest(type_name=name, config=_value(config)))
        return decode(reply.state.msgpack)

    def _call(self, method: str, request: Any) -> Any:
        reply = getattr(self._stub, method)(request)
        errors = list(_errors(reply))
        if errors:
            state = getattr(reply, "new_state", None)
            made = without_unknown(decode(state.msgpack)) if state is not None else None
            raise Failed(errors, made, getattr(reply, "private", b""))
        return reply


def _errors(reply: Any) -> Iterator[Diagnostic]:
    for each in reply.diagnostics:
        if each.severity == messages.Diagnostic.ERROR:
            steps = tuple(getattr(step, step.WhichOneof("selector")) for step in each.attribute.steps)
            yield Diagnostic(steps, f"{each.summary}: {each.detail}" if each.detail else each.summary)


def _value(value: Any) -> Any:
    return messages.DynamicValue(msgpack=encode(value))
