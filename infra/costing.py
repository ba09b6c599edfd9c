"""What a site costs, by its plan: how its settings become what has a price."""

from infra import cost
from infra.deployment import Deployment
from infra.settings import AWS, NAT
from trainer.metrics import catalogue
from trainer.metrics.alerts import ALERTS

ENDPOINTS = 8
"""Interface endpoints of a site in AWS without NAT (`infra.aws.network`)."""


def of(planned: Deployment, nodes: int | None = None) -> cost.Estimate:
    """The estimate.

    Args:
        planned: the site.
        nodes: how many machines there are; None: one for each run.
    """
    settings, runs = planned.settings, len(planned.runs)
    private = settings.egress != NAT
    return cost.estimate(
        cost.Site(
            cloud=settings.cloud,
            region=settings.region,
            machines=settings.machines,
            nodes=runs if nodes is None else nodes,
            spot=settings.spot,
            disk_gb=settings.disk_gib,
            zones=settings.zones or 1,
            egress=cost.Egress.ENDPOINTS if private else cost.Egress.NAT,
            endpoints=ENDPOINTS if private and settings.cloud == AWS else 0,
            alarms=_alarms(planned),
            metrics=len(catalogue.ESSENTIAL) * runs,
            dashboards=1,
        )
    )


def _alarms(planned: Deployment) -> int:
    """How many alarms are billed: in AWS an alarm counts for each metric that it looks at."""
    if planned.settings.cloud == AWS:
        from infra.aws import alarms

        return alarms.billed_metrics(planned)
    return len(ALERTS) * len(planned.runs)
