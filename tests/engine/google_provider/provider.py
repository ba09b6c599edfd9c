"""Pulumi's provider protocol in front of the imitated cloud.

The protocol: https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto.
"""

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as messages

from google_provider import checks, lookups, sdk, undescribed
from google_provider.cloud import Cloud, Refused, relative
from google_provider.kind import Kind
from google_provider.kinds import KINDS
from google_provider.wire import UNKNOWN, changes, has_unknown, is_asset, read, write
from google_provider.world import World

VERSIONS = {"gcp": "10.2.0", "aws": "7.51.1"}
DEFAULTED = "__defaults"
"""The input in which Pulumi's own providers, too, remember which properties they filled in."""
RANDOM_DIGITS = 7
LABELS = ("pulumiLabels", "effectiveLabels")
EMPTY: tuple[Any, ...] = (None, "", [], {}, False, 0)
"""What counts as not set."""


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """A provider of one package.

    Args:
        package: `gcp` or `aws`; of the latter no kind is described.
        world: where resources are kept.
        engine: the address of the engine, which prints warnings; empty: nobody does.
    """

    def __init__(self, package: str, world: World, engine: str = "") -> None:
        self.package, self.world, self.engine = package, world, engine
        self.region = self.zone = ""
        self.labels: dict[str, str] = {}

    # ---- configuration -----------------------------------------------------------
    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return messages.GetSchemaResponse(schema=json.dumps({"name": self.package, "version": VERSIONS[self.package]}))

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=VERSIONS[self.package])

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.engine = request.address
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        known = {*sdk.provider_inputs(self.package), "version", "pluginDownloadURL"}
        unknown = [name for name in read(request.news) if name not in known and not name.startswith("__")]
        failures = [messages.CheckFailure(property=name, reason="there is no such property") for name in unknown]
        return messages.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        same = read(request.olds) == read(request.news)
        return messages.DiffResponse(changes=_DIFFERENT[not same])

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        given = read(request.args)
        self.region = _text(given.get("region"))
        self.zone = _text(given.get("zone"))
        labels = given.get("defaultLabels") or {}
        self.labels = json.loads(labels) if isinstance(labels, str) else labels if isinstance(labels, dict) else {}
        project = _text(given.get("project"))
        if self.package == "gcp" and project and project != self.world.read()["project"]:
            context.abort(grpc.StatusCode.UNKNOWN, f"there is no project {project}, or it is not yours")
        return messages.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    # ---- resources ---------------------------------------------------------------
    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        token, inputs = _token(request.urn), read(request.news)
        with _refusing(context):
            kind = self._kind(token)
            failures = []
            try:
                self._name(token, kind, inputs, request)
            except ValueError as error:
                failures.append(messages.CheckFailure(property=_named(token, kind), reason=str(error)))
            for path, reason in checks.refusals(token, kind, inputs):
                failures.append(messages.CheckFailure(property=path, reason=reason))
            return messages.CheckResponse(inputs=write(inputs), failures=failures)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        token, old, inputs = _token(request.urn), read(request.olds), read(request.news)
        with _refusing(context):
            kind = self._kind(token)
            ignored = {path.split(".")[0].split("[")[0] for path in request.ignoreChanges}
            planned = self._planned(token, kind, inputs, old, preview=True)
            answer = messages.DiffResponse(hasDetailedDiff=True, changes=_DIFFERENT[False])
            replaces = kind.replaces if kind else frozenset()
            for name, field in sorted(sdk.resource(token).inputs.items()):
                was, now = _plain(old.get(name)), _plain(planned.get(name))
                if name in ignored or _same(was, now):
                    continue
                replaced = (field.replaces or name in replaces or "*" in replaces) and name not in _FREE
                answer.changes = _DIFFERENT[True]
                answer.diffs.append(name)
                if replaced:
                    answer.replaces.append(name)
                for path in changes(was, now, name):
                    what = "ADD" if was is None else "DELETE" if now is None else "UPDATE"
                    kind_of_change = messages.PropertyDiff.Kind.Value(what + ("_REPLACE" if replaced else ""))
                    answer.detailedDiff[path].CopyFrom(messages.PropertyDiff(kind=kind_of_change))
            named = _named(token, kind)
            fixed = not named or (named not in inputs.get(DEFAULTED, []) and inputs.get(named) == old.get(named))
            # Two with one name cannot be there at once.
            answer.deleteBeforeReplace = bool(answer.replaces) and fixed and "namePrefix" not in inputs
            return answer

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        token, inputs = _token(request.urn), read(request.properties)
        with _refusing(context):
            kind = self._kind(token)
            planned = self._planned(token, kind, inputs, {}, preview=request.preview)
            if request.preview:
                return messages.CreateResponse(properties=write(planned))
            with self._cloud() as cloud:
                if kind is not None:
                    id_, state = cloud.create(kind, planned)
                else:
                    id_, state = self._make_up(cloud, token, planned)
            return messages.CreateResponse(id=id_, properties=write(state))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        token, old, inputs = _token(request.urn), read(request.olds), read(request.news)
        for path in request.ignoreChanges:
            name = path.split(".")[0].split("[")[0]
            inputs[name] = old.get(name)
        with _refusing(context):
            kind = self._kind(token)
            planned = self._planned(token, kind, inputs, old, preview=request.preview)
            if request.preview:
                return messages.UpdateResponse(properties=write(planned))
            with self._cloud() as cloud:
                if kind is not None:
                    state = cloud.update(kind, request.id, planned)
                else:
                    state = {**cloud.held(token)[request.id]["state"], **planned}
                    cloud.held(token)[request.id]["state"] = state
            return messages.UpdateResponse(properties=write(state))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        token, state = _token(request.urn), read(request.properties)
        with _refusing(context):
            kind = self._kind(token)
            with self._cloud() as cloud:
                if kind is not None:
                    why = cloud.delete(kind, request.id, state)
                else:
                    why = ""
                    cloud.held(token).pop(request.id, None)
            if why:
                self._warn(request.urn, f"{request.id} is no longer Pulumi's, but {why}.")
        return empty_pb2.Empty()

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        token, inputs, old = _token(request.urn), read(request.inputs), read(request.properties)
        with _refusing(context):
            kind = self._kind(token)
            with self._cloud() as cloud:
                if kind is not None:
                    state = cloud.read(kind, request.id)
                else:
                    record = cloud.held(token).get(request.id)
                    state = record and record["state"]
            if state is None:
                return messages.ReadResponse()
            own = sdk.resource(token).inputs
            # What only Pulumi knows of is as it remembers it; what drifted is drift of the inputs, too.
            state |= {name: old[name] for name in (kind.own if kind else {}) if name in old and name in own}
            if old:
                drifted = {name for name in own if not _same(_plain(old.get(name)), _plain(state.get(name)))}
                inputs = {name: state.get(name) if name in drifted else value for name, value in inputs.items()}
            else:
                inputs = {name: state[name] for name in own if name in state and state[name] not in EMPTY}
            return messages.ReadResponse(id=request.id, inputs=write(inputs), properties=write(state))

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        inputs = {name: value for name, value in read(request.args).items() if value is not None}
        with _refusing(context):
            failures = [
                messages.CheckFailure(property=path, reason=reason)
                for path, reason in lookups.refusals(request.tok, inputs)
            ]
            if failures:
                return messages.InvokeResponse(failures=failures)
            if request.tok not in lookups.FUNCTIONS:
                raise Refused(f"this provider has no data source {request.tok} (google_provider/lookups.py)")
            with self._cloud() as cloud:
                cloud.need(lookups.service(request.tok))
                found = lookups.FUNCTIONS[request.tok](cloud, inputs)
            asked = {name: value for name, value in inputs.items() if name in sdk.function(request.tok).outputs}
            return messages.InvokeResponse(**{"return": write(asked | found)})

    # ---- parts of these --------------------------------------------------------
    def _kind(self, token: str) -> Kind | None:
        """What is known of a kind.

        Raises:
            Refused: nothing is, and it should be.
        """
        sdk.resource(token)  # a better error where there is no such resource at all
        if self.package == "gcp" and token not in KINDS:
            raise Refused(f"this provider does not know {token} yet: describe it in google_provider/kinds")
        return KINDS.get(token)

    @contextlib.contextmanager
    def _cloud(self) -> Iterator[Cloud]:
        with self.world.changing() as data:
            yield Cloud(data, self.region, self.zone)

    def _name(self, token: str, kind: Kind | None, inputs: dict[str, Any], request: Any) -> None:
        """Fill in a name made of the logical one, as Pulumi's providers do.

        Raises:
            ValueError: it would be too long.
        """
        named = _named(token, kind)
        fields = sdk.resource(token).inputs
        given = named and (inputs.get(named) is not None or inputs.get("namePrefix") is not None)
        if not named or named not in fields or fields[named].type.kind != "string" or given:
            return
        old, settings = read(request.olds), request.autonaming
        if named in (old.get(DEFAULTED) or []) and old.get(named) is not None:
            name = old[named]
        elif settings.proposed_name:
            name = settings.proposed_name
        elif settings.mode == messages.CheckRequest.AutonamingOptions.Mode.DISABLE:
            return
        else:
            stem, limit = request.urn.split("::")[-1], kind.name_limit if kind else 255
            stem = stem.lower() if named == "bucket" else stem
            if len(stem) + 1 + RANDOM_DIGITS > limit:
                raise ValueError(f"{named}: {stem!r} with {RANDOM_DIGITS + 1} characters more is longer than {limit}")
            seed = request.randomSeed
            name = f"{stem}-{seed.hex()[:RANDOM_DIGITS] if seed else secrets.token_hex(4)[:RANDOM_DIGITS]}"
        inputs[named] = name
        inputs[DEFAULTED] = [named]

    def _planned(
        self, token: str, kind: Kind | None, inputs: Mapping[str, Any], old: Mapping[str, Any], *, preview: bool
    ) -> dict[str, Any]:
        """The state that is to be: `UNKNOWN` where only the service decides, or, if not of a preview, without that."""
        found = sdk.resource(token)
        defaults, computed = (kind.defaults, kind.computed) if kind else ({}, {})
        state: dict[str, Any] = {}
        for name in {**found.inputs, **found.outputs}:
            settable = name in found.inputs
            if settable and inputs.get(name) is not None:
                state[name] = inputs[name]
            elif settable and name in defaults:
                state[name] = defaults[name]
            elif name in LABELS:
                own = inputs.get("labels") or {}
                state[name] = UNKNOWN if own is UNKNOWN else {**self.labels, **own}
            elif settable and name == "deletionPolicy":
                state[name] = "DELETE"
            elif settable and name == "project" and self.package == "gcp":
                state[name] = old.get(name) or self.world.read()["project"]
            elif (not settable or name in computed or name in found.always) and old.get(name) is not None:
                state[name] = old[name]
            elif (not settable or name in computed) and preview and not old:
                state[name] = UNKNOWN
        return state

    def _make_up(self, cloud: Cloud, token: str, planned: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        cloud.data["count"] += 1
        id_, made = undescribed.outputs(token, planned, cloud.data["count"], self.region)
        state = {**planned, **made}
        cloud.held(token)[id_] = {"state": state, "unique": cloud.data["count"]}
        return id_, state

    def _warn(self, urn: str, text: str) -> None:
        if not self.engine:
            return
        with grpc.insecure_channel(self.engine) as channel:
            said = engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=text, urn=urn)
            engine_pb2_grpc.EngineStub(channel).Log(said)


_DIFFERENT = {False: messages.DiffResponse.DIFF_NONE, True: messages.DiffResponse.DIFF_SOME}
_FREE = frozenset({"deletionPolicy"})
"""What changes in place even where nothing else does."""


@contextlib.contextmanager
def _refusing(context: grpc.ServicerContext) -> Iterator[None]:
    """What the cloud refuses is an error of the call."""
    try:
        yield
    except (Refused, sdk.UnknownToken) as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))


def _token(urn: str) -> str:
    return urn.split("::")[2].split("$")[-1]


def _named(token: str, kind: Kind | None) -> str:
    return kind.named if kind else undescribed.NAMES.get(token, "name")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _plain(value: Any) -> Any:
    """A value as it is compared: links without hosts, files by their hash, nothing for what is empty."""
    if is_asset(value):
        return value.get("hash")
    if isinstance(value, Mapping):
        found = {name: _plain(item) for name, item in value.items()}
        return {name: item for name, item in found.items() if item is not None} or None
    if isinstance(value, list):
        return [_plain(item) for item in value] or None
    return relative(value) if isinstance(value, str) else value


def _same(was: Any, now: Any) -> bool:
    if has_unknown(now):
        return False
    return bool(was == now or (was in EMPTY and now in EMPTY))


def serve(package: str, world: World, engine: str = "") -> tuple[grpc.Server, int]:
    """Start a provider; the server and the port that it listens at."""
    server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(package, world, engine), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
