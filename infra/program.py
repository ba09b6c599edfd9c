"""The program of a stack: its configuration becomes one site, in the cloud that it names."""

from collections.abc import Mapping
from pathlib import Path

import pulumi
from pulumi.runtime import config as pulumi_config

from infra import costing, deployment, settings
from trainer.errors import SlipwayError

ROOT = Path(__file__).parents[1]


def main(folder: Path = ROOT) -> None:
    """Make the site of this stack, and export its outputs.

    Args:
        folder: what the files that its configuration names are relative to.

    Raises:
        pulumi.RunError: for everything that is wrong with the configuration, together; nothing is made then.
    """
    try:
        planned = deployment.plan(pulumi.get_stack(), read(folder))
        if pulumi.runtime.is_dry_run():
            pulumi.log.info(f"What {pulumi.get_stack()} costs:\n\n{costing.of(planned).to_text()}")
        outputs = deploy(planned)
    except SlipwayError as error:
        raise pulumi.RunError(str(error)) from error
    for name, value in outputs.items():
        pulumi.export(name, value)


def read(folder: Path) -> settings.Settings:
    """The settings of the running program's stack.

    Args:
        folder: what the files that it names are relative to.

    Raises:
        BadInputs: for everything that is wrong with them.
    """
    prefix = f"{settings.NAMESPACE}:"
    found = {**pulumi_config.get_config_env(), **pulumi_config.CONFIG.get()}
    texts = {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}
    secret = {
        *pulumi_config.get_config_secret_keys_env(),
        *(key for key in found if pulumi_config.is_config_secret(key)),
    }
    options = {key.removeprefix(prefix) for key in secret if key.startswith(prefix)}
    return settings.load(texts, options, folder)


def deploy(planned: deployment.Deployment) -> Mapping[str, pulumi.Input[object]]:
    """Register all resources of a site; its outputs.

    Each cloud's package is imported where it is needed alone: an operator of one needs no SDK of the other.
    """
    if planned.settings.cloud == settings.AWS:
        from infra.aws import site as aws_site

        return aws_site.deploy(planned)
    from infra.gcp import site as gcp_site

    return gcp_site.deploy(planned)
