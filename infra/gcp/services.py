"""The services of Google Cloud that a site uses, switched on in its project."""

import dataclasses
from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from infra.deployment import Deployment
from infra.options import child
from infra.settings import Settings

ALWAYS = (
    "cloudkms.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "compute.googleapis.com",
    "dns.googleapis.com",
    "iam.googleapis.com",
    "iap.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "oslogin.googleapis.com",
    "storage.googleapis.com",
)
ANALYTICS = ("bigquery.googleapis.com",)
BUDGET = ("billingbudgets.googleapis.com",)


def names(settings: Settings) -> tuple[str, ...]:
    """The services that a site with these settings uses."""
    return (
        *ALWAYS,
        *(ANALYTICS if settings.analytics else ()),
        *(BUDGET if settings.budget_usd is not None else ()),
    )


@dataclasses.dataclass(frozen=True)
class ServicesArgs:
    """What decides which services are switched on.

    Attributes:
        deployment: the site.
    """

    deployment: Deployment


class Services(pulumi.ComponentResource):
    """The services, all of them.

    A fresh project has few of them on, and nothing else can be made before. They stay on when the site goes: they cost
    nothing by themselves, and other work in the project may have come to need them.

    Attributes:
        enabled: what others wait for.
    """

    enabled: Sequence[pulumi.Resource]

    def __init__(self, args: ServicesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:Services", deployment.named("services"), None, opts)
        self.enabled = [
            gcp.projects.Service(
                deployment.named(service.partition(".")[0]),
                service=service,
                project=deployment.settings.project,
                disable_on_destroy=False,
                opts=child(self),
            )
            for service in names(deployment.settings)
        ]
        self.register_outputs({})
