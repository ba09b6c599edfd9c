"""Pulumi's calls to a provider plugin, answered by the Terraform provider.

Each resource's exact Terraform state goes along as a hidden output, encrypted by the engine, so that nothing is lost in
translation between two operations.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import pickle
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as messages
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderServicer

from aws_provider import configuration, conversion, names, shapes, terraform, wire
from aws_provider.conversion import Rejected
from aws_provider.shapes import Field, Shape
from aws_provider.terraform import Failed
from aws_provider.values import UNKNOWN, decode, encode

VERSION = "7.51.1"
"""Of the pulumi-aws that this plugin answers for."""

STATE = "__terraform"
"""The hidden output with a resource's Terraform state, and the provider's notes on it."""

DEFAULTS = "__defaults"
"""Where Pulumi's plugins note which inputs they made up."""

NAMED_BY = {"aws_s3_bucket": "bucket"}
"""Which property is a resource's name; elsewhere `name`."""

NAME_PREFIXES = {"aws_kms_alias": "alias/"}

LOWER_CASE = frozenset({"aws_s3_bucket"})
"""Types whose names have no capitals."""

NOT_INPUTS = frozenset({"id", "tags_all"})
"""Attributes that may be set, but that nobody does."""

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Kind:
    """What there is to know of a Pulumi token.

    Attributes:
        type: Terraform's.
        version: of its schema.
        shape: of its values.
        naming: the property that gets a name where the program gives none.
    """

    type: str
    version: int
    shape: Shape
    naming: Field | None

    def property_path(self, steps: Sequence[str | int]) -> str:
        """The path of a Terraform attribute as Pulumi writes it."""
        path, shape, single = "", self.shape, False
        for step in steps:
            if isinstance(step, int):
                path += "" if single else f"[{step}]"
                shape, single = shape.element or shape, False
                continue
            field = shape.by_attribute(step)
            path += ("." if path else "") + (field.property if field else step)
            shape, single = (field.shape, field.single) if field else (shape.element or shape, False)
        return path


class Plugin(ResourceProviderServicer):
    """The plugin of one provider resource of a stack.

    Args:
        executable: the Terraform provider.
        endpoint: of the imitation of AWS.
        folder: for what is kept between operations (shapes), and what is only written (assets, logs).
    """

    def __init__(self, executable: Path, endpoint: str, folder: Path) -> None:
        self._executable, self._endpoint, self._folder = executable, endpoint, folder
        self._lock = threading.Lock()
        self._started: tuple[subprocess.Popen[bytes], terraform.Provider] | None = None
        self._kinds: dict[str, Kind] = {}
        self._region = ""
        self._reader = wire.Reader(folder)

    @property
    def _provider(self) -> terraform.Provider:
        with self._lock:  # started late: the engine also loads plugins that it never configures
            if self._started is None:
                log = self._folder / f"terraform-{os.getpid()}.log"
                process, channel = terraform.start(self._executable, self._endpoint, log)
                self._started = process, terraform.Provider(channel)
            return self._started[1]

    def close(self) -> None:
        """End the Terraform provider."""
        if self._started is not None:
            self._started[0].kill()

    # Configuration.

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        same = request.olds == request.news
        return messages.DiffResponse(
            changes=messages.DiffResponse.DIFF_NONE if same else messages.DiffResponse.DIFF_SOME
        )

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        given = configuration.configuration(self._reader.read(request.args))
        self._region = given.setdefault("region", "us-east-1")
        with _told(context):
            shape = self._kept("provider", lambda: shapes.of_block(self._provider.schema.provider.block, {}))
            self._provider.configure(conversion.to_terraform(shape, given))
        return messages.ConfigureResponse(supportsPreview=True, acceptSecrets=False, acceptResources=False)

    def GetSchema(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.GetSchemaResponse(schema=json.dumps({"name": "aws", "version": VERSION}))

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=VERSION)

    def Attach(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    # Resources.

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            kind = self._kind(_token(request.urn))
            inputs = self._reader.read(request.news)
            self._name(kind, request, inputs)
            failures = []
            try:
                self._provider.validate(kind.type, self._terraform(kind, inputs))
            except Rejected as error:
                failures.append(messages.CheckFailure(property=error.path, reason=error.reason))
            except Failed as error:
                failures += _failures(kind, error)
            return messages.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            kind = self._kind(_token(request.urn))
            inputs, olds = self._reader.read(request.news), self._reader.read(request.olds)
            prior, private = self._prior(kind, olds)
            plan = self._plan(kind, self._terraform(kind, inputs), prior, private)
            if plan.state == prior:
                return messages.DiffResponse(changes=messages.DiffResponse.DIFF_NONE, hasDetailedDiff=True)
            return _difference(kind, prior, plan, inputs, olds)

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            kind, inputs = self._kind(_token(request.urn)), self._reader.read(request.properties)
            identifier, properties = self._apply(context, kind, inputs, None, b"", preview=request.preview)
            return messages.CreateResponse(id=identifier, properties=properties)

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            kind, inputs = self._kind(_token(request.urn)), self._reader.read(request.news)
            prior, private = self._prior(kind, self._reader.read(request.olds))
            _, properties = self._apply(context, kind, inputs, prior, private, preview=request.preview)
            return messages.UpdateResponse(properties=properties)

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            kind = self._kind(_token(request.urn))
            prior, private = self._prior(kind, self._reader.read(request.properties))
            self._provider.apply(kind.type, prior, None, None, private)
        return empty_pb2.Empty()

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            kind = self._kind(_token(request.urn))
            inputs, properties = self._reader.read(request.inputs), self._reader.read(request.properties)
            known = STATE in properties
            before, private = (
                self._prior(kind, properties) if known else self._provider.import_state(kind.type, request.id)
            )
            state, private = self._provider.read(kind.type, before, private)
            if state is None:
                return messages.ReadResponse()  # gone: the engine takes it out of the stack
            inputs = _drifted(kind, inputs, before, state) if known else _inputs(kind, state)
            return messages.ReadResponse(
                id=_identifier(state), inputs=wire.write(inputs), properties=self._properties(kind, state, private)
            )

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        with _told(context):
            kind = self._kind(request.tok)
            try:
                found = self._provider.read_data(kind.type, self._terraform(kind, self._reader.read(request.args)))
            except Rejected as error:
                return messages.InvokeResponse(
                    failures=[messages.CheckFailure(property=error.path, reason=error.reason)]
                )
            except Failed as error:
                return messages.InvokeResponse(failures=_failures(kind, error))
            return messages.InvokeResponse(**{"return": wire.write(self._outputs(kind, found))})

    # What they share.

    def _kind(self, token: str) -> Kind:
        if token not in self._kinds:
            self._kinds[token] = self._kept(token, lambda: self._describe(token))
        return self._kinds[token]

    def _describe(self, token: str) -> Kind:
        schema = self._provider.schema
        known = schema.data_source_schemas if names.is_data_source(token) else schema.resource_schemas
        name = names.terraform_type(token, known)
        shape = shapes.of_block(known[name].block, names.sdk_properties(token), name)
        naming = next((field for field in shape.fields if field.property == NAMED_BY.get(name, "name")), None)
        nameable = naming is not None and naming.settable and naming.shape.primitive == "string"
        return Kind(name, known[name].version, shape, naming if nameable else None)

    def _kept(self, name: str, make: Callable[[], T]) -> T:
        """What was made of both schemas before, else now: to read them takes up to 3 s a type."""
        sources = b"".join(Path(module.__file__ or "").read_bytes() for module in (shapes, names))
        digest = hashlib.sha256(f"{self._executable} {VERSION} {name}".encode() + sources).hexdigest()
        path = self._folder / f"shape-{digest}"
        try:
            return pickle.loads(path.read_bytes())
        except FileNotFoundError:
            made = make()
            aside = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
            aside.write_bytes(pickle.dumps(made))
            aside.replace(path)
            return made

    def _terraform(self, kind: Kind, inputs: Mapping[str, Any]) -> Any:
        """Inputs in Terraform's shape.

        Pulumi 7 has a region on every resource, Terraform 5 has one for the provider: it must be that.
        """
        if "region" in kind.shape.only_in_sdk:
            region = inputs.get("region", self._region)
            if region not in (self._region, UNKNOWN):
                raise Rejected("region", f"terraform-provider-aws {VERSION} has one region a provider, {self._region}")
            inputs = {name: value for name, value in inputs.items() if name != "region"}
        return conversion.to_terraform(kind.shape, inputs)

    def _name(self, kind: Kind, request: Any, inputs: dict[str, Any]) -> None:
        """Give a resource the name that it had, or a new one, where the program gives none."""
        field = kind.naming
        if field is None or not {field.property, f"{field.property}Prefix"}.isdisjoint(inputs):
            return
        olds = self._reader.read(request.olds)
        if field.property in olds.get(DEFAULTS, []):
            name = olds[field.property]
        else:
            logical = request.urn.split("::")[-1]
            stem = logical.lower() if kind.type in LOWER_CASE else logical
            suffix = hashlib.sha256(request.randomSeed or logical.encode()).hexdigest()[:7]
            name = f"{NAME_PREFIXES.get(kind.type, '')}{stem}-{suffix}"
        inputs[field.property] = name
        request.news.update({field.property: name, DEFAULTS: [field.property]})

    def _plan(self, kind: Kind, config: Any, prior: Any, private: bytes) -> terraform.Plan:
        proposed = conversion.proposed(kind.shape, prior, config)
        return self._provider.plan(kind.type, prior, proposed, config, private)

    def _apply(
        self, context: Any, kind: Kind, inputs: Mapping[str, Any], prior: Any, private: bytes, *, preview: bool
    ) -> tuple[str, Any]:
        """Make or change a resource, or in a preview say what it would be; its id and properties."""
        config = self._terraform(kind, inputs)
        plan = self._plan(kind, config, prior, private)
        if preview:
            return "", self._properties(kind, plan.state, b"")
        try:
            state, private = self._provider.apply(kind.type, prior, plan.state, config, plan.private)
        except Failed as error:
            self._report_partial(context, kind, error, inputs)
            raise
        return _identifier(state), self._properties(kind, state, private)

    def _report_partial(self, context: Any, kind: Kind, error: Failed, inputs: Mapping[str, Any]) -> None:
        """Hand the engine what there is by now of a resource that was made or changed in part."""
        if not error.state or not _identifier(error.state):
            return
        packed = any_pb2.Any()
        packed.Pack(
            messages.ErrorResourceInitFailed(
                id=_identifier(error.state),
                reasons=[str(error)],
                inputs=wire.write(inputs),
                properties=self._properties(kind, error.state, error.private),
            )
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error), details=[packed])
        context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])

    def _prior(self, kind: Kind, properties: Mapping[str, Any]) -> tuple[Any, bytes]:
        """The Terraform state in a resource's properties, and the provider's notes."""
        state, private = decode(base64.b64decode(properties[STATE]))
        return self._provider.upgrade(kind.type, kind.version, state), private

    def _properties(self, kind: Kind, state: Any, private: bytes) -> Any:
        hidden = base64.b64encode(encode([state, private])).decode()
        # All that is secret is in it, too.
        return wire.write({**self._outputs(kind, state), STATE: wire.secret(hidden)})

    def _outputs(self, kind: Kind, state: Any) -> dict[str, Any]:
        outputs = conversion.to_pulumi(kind.shape, state, wire.secret)
        if "region" in kind.shape.only_in_sdk:
            outputs["region"] = self._region
        return outputs


def _difference(
    kind: Kind, prior: Mapping[str, Any], plan: terraform.Plan, inputs: Mapping[str, Any], olds: Mapping[str, Any]
) -> Any:
    """What a plan would change, told as Pulumi does."""
    different = [field for field in kind.shape.fields if prior.get(field.attribute) != plan.state.get(field.attribute)]
    forcing = [field for field in different if field.attribute in plan.forcing]
    # What is computed follows from the rest: it is told only where nothing else differs.
    chosen = [
        field
        for field in different
        if (field.settable and plan.state.get(field.attribute) != UNKNOWN) or field in forcing
    ]
    reply = messages.DiffResponse(changes=messages.DiffResponse.DIFF_SOME, hasDetailedDiff=True)
    reply.replaces.extend(field.property for field in forcing)
    for field in chosen or different:
        only = Shape("object", fields=(field,))
        was, will = (conversion.to_pulumi(only, state).get(field.property) for state in (prior, plan.state))
        how = "ADD" if was is None else "DELETE" if will is None else "UPDATE"
        how += "_REPLACE" if field in forcing else ""
        reply.diffs.append(field.property)
        for path in wire.changed(was, will, field.property):
            reply.detailedDiff[path].kind = messages.PropertyDiff.Kind.Value(how)
    # There cannot be two of one name, so the old one goes first where the name stays.
    name = kind.naming.property if kind.naming else ""
    kept = bool(name) and name not in inputs.get(DEFAULTS, []) and inputs.get(name) == olds.get(name)
    reply.deleteBeforeReplace = bool(forcing) and kept
    return reply


def _drifted(kind: Kind, inputs: Mapping[str, Any], before: Any, state: Any) -> dict[str, Any]:
    """The inputs, with what has become of them since."""
    was, now = conversion.to_pulumi(kind.shape, before), conversion.to_pulumi(kind.shape, state)
    return {
        name: now.get(name) if name in was and was[name] != now.get(name) else value for name, value in inputs.items()
    }


def _inputs(kind: Kind, state: Any) -> dict[str, Any]:
    """The inputs that a resource found by its id might have been given."""
    now = conversion.to_pulumi(kind.shape, state)
    settable = (field for field in kind.shape.fields if field.settable and field.attribute not in NOT_INPUTS)
    return {
        field.property: now[field.property]
        for field in settable
        if now.get(field.property) not in (None, "", [], {}, False)
    }


def _failures(kind: Kind, error: Failed) -> list[Any]:
    return [
        messages.CheckFailure(property=kind.property_path(each.steps), reason=each.text) for each in error.diagnostics
    ]


@contextlib.contextmanager
def _told(context: Any) -> Iterator[None]:
    """Has the engine print what went wrong."""
    try:
        yield
    except (Failed, Rejected, names.NoSuchType, wire.Unsupported) as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _token(urn: str) -> str:
    return urn.split("::")[2].split("$")[-1]


def _identifier(state: Mapping[str, Any]) -> str:
    return state.get("id") or state.get("arn") or state.get("name") or ""
