"""What stands behind the tests with the real engine on this machine, for the summary of a test run."""

from importlib import metadata

import engine
from aws_provider import executable


def lines() -> list[str]:
    """A line each for the engine, and for what stands in for a cloud."""
    try:
        pulumi = f"Pulumi {engine.version()} ({engine.cli()})"
    except FileNotFoundError as error:
        pulumi = f"NO PULUMI: {error}"
    moto = f"moto {metadata.version('moto')}"
    provider = executable.find()
    if provider is None:
        wanted = f"terraform-provider-aws {executable.VERSION}"
        aws = f"NO {wanted} WAS FOUND, so names and types alone were checked, and nothing was made"
    else:
        aws = f"terraform-provider-aws {executable.VERSION} in front of {moto} ({provider})"
    described = f"google-api-python-client {metadata.version('google-api-python-client')}"
    google = (
        f"no provider of Google's: types of pulumi-gcp {metadata.version('pulumi-gcp')}, descriptions of {described}"
    )
    return [f"engine: {pulumi}", f"AWS:    {aws}", f"Google: {google}"]
