"""Moto's server as an imitation of AWS, with what the Terraform provider asks and moto lacks added.

Started as a process of its own: what is changed in moto here is changed for nobody else.
"""

import contextlib
import inspect
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What a client of it needs, beside AWS_ENDPOINT_URL."""

ACCOUNT = "123456789012"
"""Whose everything is."""


@contextlib.contextmanager
def serving(log: Path) -> Iterator[str]:
    """The server, in a process; gives its address.

    Args:
        log: a file for its requests.

    Raises:
        RuntimeError: it does not start.
    """
    with log.open("w") as requests:
        server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=requests, text=True
        )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        address = server.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"moto's server does not start: {log.read_text()}")
        yield address
    finally:
        server.stdin.close()  # it ends then
        server.wait()
        server.stdout.close()


def reset(address: str) -> None:
    """Have it forget all that it holds."""
    with urllib.request.urlopen(urllib.request.Request(f"{address}/moto-api/reset", method="POST")):
        pass


def main() -> None:
    """Serve until standard input ends, as it does with whoever started this."""
    from moto.server import ThreadedMotoServer

    for amend in AMENDMENTS:
        amend()
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
    os._exit(0)  # whoever is still connected is not waited for


def budgets() -> None:
    """Budgets have tags and subscribers, and can be changed."""
    from moto.budgets.responses import BudgetsResponse

    create = BudgetsResponse.create_budget

    def budget(self: Any, arn: str) -> Any:
        return self.backend.budgets[self.current_account][arn.split("budget/")[-1]]

    def tags_of(self: Any) -> dict[str, str]:
        found = budget(self, self._get_param("ResourceARN"))
        return vars(found).setdefault("tags", {})

    def create_budget(self: Any) -> str:
        created = create(self)
        tags = {each["Key"]: each["Value"] for each in self._get_param("ResourceTags", [])}
        budget(self, self._get_param("Budget")["BudgetName"]).tags = tags
        return created

    def update_budget(self: Any) -> str:
        new = self._get_param("NewBudget")
        budget(self, new["BudgetName"]).budget.update(new)
        return json.dumps({})

    def describe_subscribers_for_notification(self: Any) -> str:
        notices = budget(self, self._get_param("BudgetName")).notifications
        wanted = self._get_param("Notification").items()
        found = [each for notice in notices if notice.details.items() >= wanted for each in notice.subscribers]
        return json.dumps({"Subscribers": found})

    def list_tags_for_resource(self: Any) -> str:
        return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in tags_of(self).items()]})

    def tag_resource(self: Any) -> str:
        tags_of(self).update({each["Key"]: each["Value"] for each in self._get_param("ResourceTags")})
        return json.dumps({})

    def untag_resource(self: Any) -> str:
        for key in self._get_param("ResourceTagKeys"):
            tags_of(self).pop(key, None)
        return json.dumps({})

    BudgetsResponse.create_budget = create_budget
    BudgetsResponse.update_budget = update_budget
    BudgetsResponse.describe_subscribers_for_notification = describe_subscribers_for_notification
    BudgetsResponse.list_tags_for_resource = list_tags_for_resource
    BudgetsResponse.tag_resource = tag_resource
    BudgetsResponse.untag_resource = untag_resource


def access_logs() -> None:
    """A bucket's policy may let S3 write access logs by a list of resources, and say more to others."""
    from moto.s3.models import FakeBucket

    enabled = FakeBucket._log_permissions_enabled_policy

    def log_permissions_enabled_policy(target_bucket: Any, target_prefix: str | None) -> bool:
        said = json.loads(target_bucket.policy or '{"Statement": []}')["Statement"]
        services = [each for each in said if isinstance(each.get("Principal"), dict)]
        single = [
            {**each, "Resource": resource}
            for each in services
            for resource in ([each["Resource"]] if isinstance(each["Resource"], str) else each["Resource"])
        ]
        policy = json.dumps({"Statement": single}).encode()
        plain = SimpleNamespace(policy=policy, partition=target_bucket.partition, name=target_bucket.name)
        return enabled(plain, target_prefix)

    FakeBucket._log_permissions_enabled_policy = staticmethod(log_permissions_enabled_policy)


def instance_profiles() -> None:
    """Taking a role from an instance profile that no longer has it is refused, where moto fails.

    So a request that is sent a second time, since the answer to the first was lost, does no harm, as with IAM.
    """
    from moto.iam.exceptions import NotFoundException
    from moto.iam.models import IAMBackend

    remove = IAMBackend.remove_role_from_instance_profile

    def remove_role_from_instance_profile(self: Any, profile_name: str, role_name: str) -> None:
        if self.get_role(role_name) not in self.get_instance_profile(profile_name).roles:
            raise NotFoundException(f"Instance profile {profile_name} has no role {role_name}.")
        remove(self, profile_name, role_name)

    IAMBackend.remove_role_from_instance_profile = remove_role_from_instance_profile


def launch_templates() -> None:
    """A launch template's own tags are no part of its launch data, where moto keeps them, and they can change."""
    from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateBackend

    create = LaunchTemplateBackend.create_launch_template

    def create_launch_template(self: Any, name: str, description: str, data: dict[str, Any], tags: Any) -> Any:
        specifications = data.pop("TagSpecifications", [])
        others = [each for each in specifications if each.get("ResourceType") != "launch-template"]
        if others:
            data["TagSpecifications"] = others
        return create(self, name, description, data, tags)

    LaunchTemplateBackend.create_launch_template = create_launch_template
    LaunchTemplate.tags = property(lambda self: self.get_tags(), lambda self, value: None)


def policies() -> None:
    """Statements with conditions decide nothing: moto reads no conditions, so "deny without TLS" would deny all."""
    from moto.iam.access_control import IAMPolicyStatement, PermissionResult

    permitted = IAMPolicyStatement.is_action_permitted

    def is_action_permitted(self: Any, *arguments: Any) -> Any:
        return PermissionResult.NEUTRAL if "Condition" in self._statement else permitted(self, *arguments)

    IAMPolicyStatement.is_action_permitted = is_action_permitted


def addresses() -> None:
    """A deleted NAT gateway gives its address back."""
    from moto.ec2.models.nat_gateways import NatGatewayBackend

    delete = NatGatewayBackend.delete_nat_gateway

    def delete_nat_gateway(self: Any, nat_gateway_id: str) -> Any:
        for address in self.nat_gateways[nat_gateway_id].address_set:
            if address.get("publicIp"):
                self.disassociate_address(address=address["publicIp"])
        return delete(self, nat_gateway_id)

    NatGatewayBackend.delete_nat_gateway = delete_nat_gateway


def rules() -> None:
    """What a security group's rule says of itself it says to groups and prefix lists, too, not to addresses alone."""
    from moto.ec2.models.security_groups import SecurityGroupRule

    init = SecurityGroupRule.__init__

    def init_rule(self: Any, *arguments: Any, **keywords: Any) -> None:
        init(self, *arguments, **keywords)
        given = inspect.signature(init).bind(self, *arguments, **keywords).arguments
        sources = (given.get(name) or {} for name in ("ip_range", "source_group", "prefix_list_id"))
        self.said = next((each["Description"] for each in sources if "Description" in each), None)

    def description(self: Any) -> str | None:
        return self.ip_range.get("Description") or self.said

    SecurityGroupRule.__init__ = init_rule
    SecurityGroupRule.description = property(description)


def network_acls() -> None:
    """A network ACL's entry keeps the type and code of ICMP, which moto looks for by another name than EC2's."""
    from moto.ec2.responses.network_acls import NetworkACLs

    plain = NetworkACLs._get_param

    def get_param(self: Any, name: str, *arguments: Any, **keywords: Any) -> Any:
        return plain(self, name.replace("Icmp.", "IcmpTypeCode."), *arguments, **keywords)

    NetworkACLs._get_param = get_param


def athena() -> None:
    """A work group without tags has no tags, where moto says that it does not exist; saved queries can be deleted."""
    from moto.athena.models import AthenaBackend
    from moto.athena.responses import AthenaResponse

    def delete_named_query(self: Any) -> str:
        self.athena_backend.named_queries.pop(self._get_param("NamedQueryId"), None)
        return "{}"

    AthenaBackend.list_tags_for_resource = lambda self, resource_arn: self.tagger.list_tags_for_resource(resource_arn)
    AthenaResponse.delete_named_query = delete_named_query


def quicksight() -> None:
    """QuickSight's times are numbers, and a new data source becomes ready."""
    from moto.quicksight.data_models import QuickSightDataSource

    plain = QuickSightDataSource.to_json

    def to_json(self: Any) -> dict[str, Any]:
        return plain(self) | {
            "CreatedTime": self.created_time.timestamp(),
            "LastUpdatedTime": self.last_updated_time.timestamp(),
            "Status": self.status or "CREATION_SUCCESSFUL",
        }

    QuickSightDataSource.to_json = to_json


def scaling() -> None:
    """What scaling policies and Auto Scaling groups were given they keep, and they have nothing else.

    A policy is enabled; it has a cooldown or a predictive part only if it was given one. A group keeps the role that it
    was given, and an update that does not speak of its instances leaves them as they are.
    """
    from moto.autoscaling.models import FakeAutoScalingGroup, FakeScalingPolicy
    from moto.autoscaling.responses import AutoScalingResponse

    init, update = FakeScalingPolicy.__init__, FakeAutoScalingGroup.update

    def init_policy(self: Any, *arguments: Any, **keywords: Any) -> None:
        init(self, *arguments, **keywords)
        self.enabled = True
        self.cooldown = keywords["cooldown"]
        self.predictive_scaling_configuration = self.predictive_scaling_configuration or None

    def update_group(self: Any, *arguments: Any, **keywords: Any) -> None:
        before = self.mixed_instances_policy
        update(self, *arguments, **keywords)
        if not (keywords["mixed_instances_policy"] or keywords["launch_template"] or keywords["launch_config_name"]):
            self.mixed_instances_policy = before

    def with_role(respond: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def responded(self: Any) -> Any:
            response = respond(self)
            role = self._get_param("ServiceLinkedRoleARN")
            if role:
                group = self.autoscaling_backend.autoscaling_groups[self._get_param("AutoScalingGroupName")]
                group.service_linked_role_arn = role
            return response

        return responded

    FakeScalingPolicy.__init__ = init_policy
    FakeAutoScalingGroup.update = update_group
    for name in ("create_auto_scaling_group", "update_auto_scaling_group"):
        setattr(AutoScalingResponse, name, with_role(getattr(AutoScalingResponse, name)))


AMENDMENTS = (
    access_logs,
    addresses,
    athena,
    budgets,
    instance_profiles,
    launch_templates,
    network_acls,
    policies,
    quicksight,
    rules,
    scaling,
)

if __name__ == "__main__":
    main()
