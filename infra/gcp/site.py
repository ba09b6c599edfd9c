"""A whole site in Google Cloud, put together of its components."""

import re
from collections.abc import Mapping

import pulumi
import pulumi_gcp as gcp

from infra.deployment import Deployment
from infra.gcp.analytics import Analytics, AnalyticsArgs
from infra.gcp.budget import Budget, BudgetArgs
from infra.gcp.compute import Compute, ComputeArgs
from infra.gcp.dashboard import Dashboard, DashboardArgs
from infra.gcp.identity import Identity, IdentityArgs
from infra.gcp.keys import Key, KeyArgs
from infra.gcp.logs import LogBucket, LogBucketArgs, Logs, LogsArgs
from infra.gcp.monitoring import Monitoring, MonitoringArgs
from infra.gcp.network import Network, NetworkArgs
from infra.gcp.services import Services, ServicesArgs
from infra.gcp.storage import Storage, StorageArgs
from trainer.errors import BadInput

_GOOGLE = re.compile("g[o0][o0]g")
"""What no bucket's name may have, and what Google takes for it
(https://cloud.google.com/storage/docs/buckets#naming)."""


def deploy(deployment: Deployment) -> Mapping[str, pulumi.Input[object]]:
    """Register all of a site's resources.

    Args:
        deployment: what it is to be.

    Returns:
        The stack's outputs.

    Raises:
        BadInput: if no bucket can have the stack's name; nothing is registered then.
    """
    settings = deployment.settings
    if _GOOGLE.search(deployment.stack):
        allowed = "a name without `google`, which Cloud Storage refuses in names of buckets"
        raise BadInput("stack", deployment.stack, allowed, "pulumi stack init dev")
    provider = gcp.Provider(
        deployment.named("google"),
        project=settings.project,
        region=settings.region,
        default_labels=deployment.tags,
    )
    opts = pulumi.ResourceOptions(providers=[provider])
    services = Services(ServicesArgs(deployment), opts)
    key = Key(KeyArgs(deployment, services), opts)
    log_bucket = LogBucket(LogBucketArgs(deployment, key), opts)
    storage = Storage(StorageArgs(deployment, key, [log_bucket]), opts)
    identity = Identity(IdentityArgs(deployment, key, storage), opts)
    network = Network(NetworkArgs(deployment, services, identity), opts)
    logs = Logs(LogsArgs(deployment, log_bucket.bucket, network), opts)
    compute = Compute(ComputeArgs(deployment, key, storage, identity, network, logs), opts)
    monitoring = Monitoring(MonitoringArgs(deployment, services, logs, compute.groups), opts)
    dashboard = Dashboard(DashboardArgs(deployment, services, logs, monitoring.policies, storage.store), opts)
    if settings.budget_usd is not None and monitoring.channel is not None:
        Budget(BudgetArgs(deployment, services, key.project_number, monitoring.channel), opts)
    drawn: dict[str, pulumi.Input[object]] = {}
    if settings.analytics:
        analytics = Analytics(AnalyticsArgs(deployment, services, key, storage), opts)
        drawn = {"dataset": analytics.dataset, "reportUrls": dict(analytics.urls)}
    return {
        "cloud": settings.cloud,
        "region": settings.region,
        "project": settings.project,
        "bucket": storage.bucket,
        "store": storage.store,
        "runs": [run.run_id for run in deployment.runs],
        "groups": compute.groups,
        "logName": logs.log_name,
        "logBucket": logs.bucket,
        "dashboardUrl": dashboard.url,
        **drawn,
        "machinePrice": deployment.price_usd_per_hour,
    }
