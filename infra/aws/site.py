"""A site in AWS, of its components."""

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from infra.aws import account as accounts
from infra.aws.analytics import Analytics, AnalyticsArgs
from infra.aws.budget import Budget, BudgetArgs
from infra.aws.compute import Compute, ComputeArgs
from infra.aws.dashboard import Dashboard, DashboardArgs
from infra.aws.identity import Identity, IdentityArgs
from infra.aws.keys import Key, KeyArgs
from infra.aws.logs import Logs, LogsArgs
from infra.aws.monitoring import Monitoring, MonitoringArgs
from infra.aws.network import Network, NetworkArgs
from infra.aws.quicksight import QuickSight, QuickSightArgs
from infra.aws.storage import Storage, StorageArgs
from infra.deployment import Deployment


def deploy(deployment: Deployment) -> Mapping[str, pulumi.Input[object]]:
    """Register all resources of the site; its outputs.

    Raises:
        BadInput: if the region has fewer zones than are asked for.
    """
    provider = aws.Provider(
        deployment.named("aws"),
        region=deployment.settings.region,
        default_tags=aws.ProviderDefaultTagsArgs(tags=deployment.tags),
    )
    options = pulumi.ResourceOptions(provider=provider)
    account = accounts.look_up(deployment, provider)
    key = Key(deployment.named("key"), KeyArgs(deployment, account), options)
    logs = Logs(deployment.named("logs"), LogsArgs(deployment, key.arn), options)
    network = Network(deployment.named("network"), NetworkArgs(deployment, account, key.arn), options)
    storage = Storage(deployment.named("storage"), StorageArgs(deployment, account, key.arn), options)
    identity = Identity(
        deployment.named("identity"),
        IdentityArgs(deployment, account, storage.bucket_arn, key.arn, logs.group_arn),
        options,
    )
    compute = Compute(
        deployment.named("compute"), ComputeArgs(deployment, network, storage, identity, key, logs), options
    )
    monitoring = Monitoring(
        deployment.named("monitoring"),
        MonitoringArgs(deployment, account, compute.groups, logs.group_name, key.arn),
        options,
    )
    dashboard = Dashboard(
        deployment.named("dashboard"),
        DashboardArgs(deployment, compute.groups, monitoring.alarm_arns, logs.group_name),
        options,
    )
    if deployment.settings.budget_usd is not None:
        Budget(deployment.named("budget"), BudgetArgs(deployment, monitoring.topic_arn), options)
    return {
        **_analyse(deployment, account, storage, key, options),
        "bucket": storage.bucket,
        "store": storage.store,
        "runs": [run.run_id for run in deployment.runs],
        "groups": dict(compute.groups),
        "logGroup": logs.group_name,
        "dashboardUrl": dashboard.url,
        "region": deployment.settings.region,
        "machinePrice": deployment.price_usd_per_hour,
        "vpc": network.vpc_id,
    }


def _analyse(
    deployment: Deployment, account: accounts.Account, storage: Storage, key: Key, options: pulumi.ResourceOptions
) -> dict[str, pulumi.Input[object]]:
    """What asks finished runs in SQL, where that is wanted; its outputs."""
    if not deployment.settings.analytics:
        return {}
    analytics = Analytics(
        deployment.named("analytics"),
        AnalyticsArgs(deployment, account, storage.bucket, storage.store, key.arn),
        options,
    )
    if deployment.settings.quicksight_user is not None:
        QuickSight(
            deployment.named("quicksight"),
            QuickSightArgs(deployment, account, analytics.database, analytics.workgroup),
            options,
        )
    return {"database": analytics.database, "workgroup": analytics.workgroup}
