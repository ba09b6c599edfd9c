"""Pulumi's mocks, with all that a program registers recorded: inputs, options, parents.

They show which resources a program asks for, with unknown outputs in previews. They do not show that a cloud takes
them: that is what `tests/engine` is for.
"""

import asyncio
import dataclasses
from typing import Any
from unittest import mock

import pulumi
from google.protobuf import json_format
from pulumi.runtime import config, mocks, rpc, settings, stack

from trainer.bundle import wheelhouse

UNKNOWN = object()
"""What stands in a recorded input for a value that is not known in a preview."""


@dataclasses.dataclass
class Recorded:
    """A resource as it was registered."""

    type: str
    name: str
    inputs: dict[str, Any]
    urn: str
    refers_to: dict[str, list[str]]
    parent: str
    protect: bool
    dependencies: list[str]
    aliases: list[str]
    ignore_changes: list[str]
    replace_on_changes: list[str]
    delete_before_replace: bool
    retain_on_delete: bool
    deleted_with: str
    provider: str
    custom: bool

    @property
    def kind(self):
        """The last word of its type: `Bucket` of `aws:s3/bucket:Bucket`."""
        return self.type.rsplit(":", 1)[-1]


class Recording(mocks.Mocks):
    """What a cloud would answer. Subclass it, or give `outputs`, for resources and functions that need more.

    Args:
        outputs: by type, a function of the inputs and the name that gives more outputs.
        answers: by token of a function, what it returns, or a function of its arguments.
    """

    def __init__(self, outputs=None, answers=None):
        self.outputs, self.answers, self.preview = outputs or {}, answers or {}, False

    def new_resource(self, args):
        if self.preview:  # as an engine's: what is not an input is not known
            return None, args.inputs
        more = self.outputs.get(args.typ, lambda inputs, name: {})(args.inputs, args.name)
        plain = {"name": args.name, "arn": f"arn:aws:test:us-east-1:123456789012:{args.name}"}
        return f"{args.name}-id", {**plain, **args.inputs, **more}

    def call(self, args):
        answer = self.answers[args.token]
        return answer(args.args) if callable(answer) else answer


class Monitor(mocks.MockMonitor):
    """The engine's side of the mocks, which also keeps resource options."""

    def __init__(self, given):
        super().__init__(given)
        self.recorded: list[Recorded] = []

    def RegisterResource(self, request):  # noqa: N802 (gRPC's name)
        inputs = json_format.MessageToDict(request.object)
        self.recorded.append(
            Recorded(
                type=request.type,
                name=request.name,
                inputs=_plain(inputs),
                urn=self.make_urn(request.parent, request.type, request.name),
                refers_to={key: list(found.urns) for key, found in request.propertyDependencies.items()},
                parent=request.parent,
                protect=bool(request.protect),
                dependencies=list(request.dependencies),
                aliases=list(request.aliasURNs),
                ignore_changes=list(request.ignoreChanges),
                replace_on_changes=list(request.replaceOnChanges),
                delete_before_replace=request.deleteBeforeReplace,
                retain_on_delete=bool(request.retainOnDelete),
                deleted_with=request.deletedWith,
                provider=request.provider,
                custom=request.custom,
            )
        )
        return super().RegisterResource(request)


_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key that marks what is no plain value in Pulumi's protocol; secrets have their value in `value`."""


def _plain(value):
    if isinstance(value, dict):
        if _SIGNATURE in value and "value" in value:
            return _plain(value["value"])
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return UNKNOWN if value == rpc.UNKNOWN else value


def record(program, given, *, preview=False, stack_name="dev", project="slipway", configuration=None):
    """Run a program as `pulumi preview` or `pulumi up` would; what it registered, and its outputs.

    Args:
        program: a function without arguments that registers resources, and may return a mapping of outputs.
        given: a `Recording`.
        preview: whether outputs of resources are unknown.
        stack_name: the stack.
        project: the project.
        configuration: the stack's, by full keys.

    Returns:
        The recorded resources in order, and the outputs that are known.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        given.preview, monitor = preview, Monitor(given)
        mocks.set_mocks(given, project, stack_name, preview=preview, monitor=monitor)
        config.set_all_config(configuration or {})
        outputs = {}

        def run():
            for name, value in (program() or {}).items():
                pulumi.Output.from_input(value).apply(lambda known, name=name: outputs.__setitem__(name, known))

        # Bundles of nodes that reach no package index carry a gigabyte of wheels, which nobody looks at here.
        with mock.patch.object(wheelhouse, "download", return_value=()):
            loop.run_until_complete(stack.run_pulumi_func(_awaited(run)))
        return monitor.recorded, outputs
    finally:
        settings.reset_options()
        loop.close()
        asyncio.set_event_loop(None)


def _awaited(function):
    async def run():
        return function()

    return run
