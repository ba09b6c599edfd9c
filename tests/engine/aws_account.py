"""An account in an imitation of AWS: what stacks of tests are made in, and what is looked at behind their back."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aws_imitation
import boto3
from aws_provider import executable
from engine import Engine

HERE = Path(__file__).parent
PROVIDER = HERE / "aws_provider"
RECORDING_PROVIDER = HERE / "google_provider" / "fallback"
"""Stands in for it where the Terraform provider is missing: it checks names and types alone, and makes nothing."""

REGION = "us-east-1"


@dataclasses.dataclass(frozen=True, eq=False)
class Account:
    """The account.

    Attributes:
        address: of the imitation.
        environment: for programs and providers.
        plugins: folders with the provider.
        is_real: whether that is the Terraform provider; else nothing is made in the account.
    """

    address: str
    environment: Mapping[str, str]
    plugins: Sequence[Path]
    is_real: bool

    def engine(self, folder: Path, **more: Any) -> Engine:
        """A stack whose resources are made in this account.

        Args:
            folder: a new one.
            more: other arguments of `Engine`.
        """
        return Engine(folder, plugins=self.plugins, environment=self.environment, **more)

    @functools.cache  # noqa: B019 (there is one account a session)
    def client(self, service: str) -> Any:
        """A client of one of its services."""
        make: Any = boto3.client
        return make(
            service,
            region_name=REGION,
            endpoint_url=self.address,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def inventory(self) -> set[str]:
        """All that there is of the kinds that a site consists of; keys that wait for their deletion are not counted."""
        found: set[str] = set()
        for service, operation, key, name in KINDS:
            pages = self._pages(service, operation)
            listed = (each for page in pages for each in page[key] if each.get("State") != "deleted")
            found |= {f"{service} {each[name]}" for each in listed}
        kms = self.client("kms")
        keys = [each["KeyId"] for each in kms.list_keys()["Keys"]]
        described = (kms.describe_key(KeyId=each)["KeyMetadata"] for each in keys)
        return found | {f"kms {each['KeyId']}" for each in described if each["KeyState"] != "PendingDeletion"}

    def _pages(self, service: str, operation: str) -> Iterator[Mapping[str, Any]]:
        client = self.client(service)
        if client.can_paginate(operation):
            yield from client.get_paginator(operation).paginate(**ARGUMENTS.get(operation, {}))
        else:
            yield getattr(client, operation)(**ARGUMENTS.get(operation, {}))


KINDS = (
    ("athena", "list_work_groups", "WorkGroups", "Name"),
    ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", "AutoScalingGroupName"),
    ("autoscaling", "describe_policies", "ScalingPolicies", "PolicyARN"),
    ("budgets", "describe_budgets", "Budgets", "BudgetName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    ("ec2", "describe_addresses", "Addresses", "AllocationId"),
    ("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    ("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    ("ec2", "describe_network_acls", "NetworkAcls", "NetworkAclId"),
    ("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("ec2", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("ec2", "describe_subnets", "Subnets", "SubnetId"),
    ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    ("ec2", "describe_vpcs", "Vpcs", "VpcId"),
    ("glue", "get_databases", "DatabaseList", "Name"),
    ("iam", "list_instance_profiles", "InstanceProfiles", "Arn"),
    ("iam", "list_policies", "Policies", "Arn"),
    ("iam", "list_roles", "Roles", "Arn"),
    ("kms", "list_aliases", "Aliases", "AliasName"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("logs", "describe_metric_filters", "metricFilters", "filterName"),
    ("s3", "list_buckets", "Buckets", "Name"),
    ("sns", "list_subscriptions", "Subscriptions", "SubscriptionArn"),
    ("sns", "list_topics", "Topics", "TopicArn"),
    ("ssm", "describe_parameters", "Parameters", "Name"),
)
"""Service, operation that lists, where its answer has the list, and what of each element is its own."""

ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "describe_budgets": {"AccountId": aws_imitation.ACCOUNT},
    "list_policies": {"Scope": "Local"},
    "describe_network_acls": {"Filters": [{"Name": "default", "Values": ["false"]}]},
}


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Account]:
    """An account, for as long as this is entered.

    Args:
        folder: for logs, and for what the provider keeps between operations.
    """
    provider = executable.find()
    with aws_imitation.serving(folder / "requests.log") as address:
        environment = {
            **aws_imitation.ENVIRONMENT,
            "AWS_ENDPOINT_URL": address,
            "AWS_PROVIDER_ENDPOINT": address,
            "AWS_PROVIDER_EXECUTABLE": str(provider),
            "AWS_PROVIDER_FOLDER": str(folder),
            "RECORDED_WORLD": str(folder / "world.json"),
        }
        plugins = [PROVIDER if provider else RECORDING_PROVIDER]
        yield Account(address, environment, plugins, provider is not None)
