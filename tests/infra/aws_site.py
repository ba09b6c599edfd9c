"""A whole site in AWS as Pulumi's mocks record it, with outputs as AWS gives them."""

import functools
import json
from unittest import mock

from recording import Recording, record

from infra import deployment, settings
from trainer.bundle import wheelhouse

ACCOUNT, REGION = "123456789012", "us-east-1"
KEY_ID = "0123abcd-12ab-34cd-56ef-1234567890ab"
ZONES = [f"{REGION}{letter}" for letter in "abcdef"]
WITHOUT_MACHINES = f"{REGION}e"
"""The zone that lacks the site's machine types, as one of us-east-1 does."""


def arn(service, resource, region=REGION, account=ACCOUNT):
    return f"arn:aws:{service}:{region}:{account}:{resource}"


def _named(service, kind, region=REGION):
    return lambda inputs, name: {"name": name, "arn": arn(service, f"{kind}{name}", region)}


def _bucket(inputs, name):
    return {"bucket": name, "arn": f"arn:aws:s3:::{name}", "id": name}


def _log_group(inputs, name):
    made = inputs.get("name") or f"{inputs['namePrefix']}1"
    return {"name": made, "arn": arn("logs", f"log-group:{made}")}


def _service_linked_role(inputs, name):
    made = f"AWSServiceRoleForAutoScaling_{inputs['customSuffix']}"
    return {"name": made, "arn": arn("iam", f"role/aws-service-role/{inputs['awsServiceName']}/{made}", "")}


def _image_parameter(arguments):
    return {**arguments, "value": "ami-0123456789abcdef0", "insecureValue": "ami-0123456789abcdef0", "type": "String"}


OUTPUTS = {
    "aws:kms/key:Key": lambda inputs, name: {"keyId": KEY_ID, "arn": arn("kms", f"key/{KEY_ID}")},
    "aws:iam/serviceLinkedRole:ServiceLinkedRole": _service_linked_role,
    "aws:iam/role:Role": _named("iam", "role/", ""),
    "aws:iam/policy:Policy": _named("iam", "policy/", ""),
    "aws:iam/instanceProfile:InstanceProfile": _named("iam", "instance-profile/", ""),
    "aws:s3/bucket:Bucket": _bucket,
    "aws:cloudwatch/logGroup:LogGroup": _log_group,
    "aws:ec2/vpc:Vpc": lambda inputs, name: {"defaultNetworkAclId": "acl-0123456789abcdef0"},
    "aws:ec2/eip:Eip": lambda inputs, name: {"allocationId": "eipalloc-0123456789abcdef0"},
    "aws:ec2/vpcEndpoint:VpcEndpoint": lambda inputs, name: {"prefixListId": "pl-63a5400a"},
    "aws:sns/topic:Topic": _named("sns", ""),
    "aws:ec2/launchTemplate:LaunchTemplate": lambda inputs, name: {"latestVersion": 1},
    "aws:autoscaling/group:Group": _named("autoscaling", "autoScalingGroup:0123abcd:autoScalingGroupName/"),
    "aws:autoscaling/policy:Policy": _named("autoscaling", "scalingPolicy:0123abcd:policyName/"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": _named("cloudwatch", "alarm:"),
}
"""What is known of a resource once it is made, by its type."""

ANSWERS = {
    "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT, "arn": arn("iam", "user/ops", "")},
    "aws:index/getPartition:getPartition": {"partition": "aws", "dnsSuffix": "amazonaws.com"},
    "aws:index/getRegion:getRegion": {"region": REGION, "name": REGION},
    "aws:index/getAvailabilityZones:getAvailabilityZones": {"names": ZONES},
    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": {
        "locations": [zone for zone in ZONES if zone != WITHOUT_MACHINES]
    },
    "aws:ssm/getParameter:getParameter": _image_parameter,
    "aws:ec2/getAmi:getAmi": {
        "rootDeviceName": "/dev/xvda",
        "blockDeviceMappings": [{"deviceName": "/dev/xvda", "noDevice": "", "ebs": {"volume_size": "60"}}],
    },
}
"""What the program asks."""


class Amazon(Recording):
    """AWS as far as a program sees it: a bucket's id is its name."""

    def new_resource(self, args):
        made, outputs = super().new_resource(args)
        return (made if self.preview else outputs.pop("id", made)), outputs


def settings_of(secret_keys=(), **more):
    """Settings in AWS: the fewest, and what is given, by Pulumi's keys."""
    return settings.load({"cloud": "aws", "region": REGION, "run": "cartpole-ppo", **more}, secret_keys)


def planned(stack="dev", secret_keys=(), **more):
    """A deployment of these settings."""
    return deployment.plan(stack, settings_of(secret_keys, **more))


def record_site(*, preview=False, stack="dev", secret_keys=(), answers=None, **more):
    """All that a site registers, and its outputs.

    Args:
        preview: whether what is not yet made is unknown.
        stack: the stack's name.
        secret_keys: keys that were set with `--secret`.
        answers: what the account says, where it differs.
        more: settings by Pulumi's keys, such as `egress="private"`.

    Returns:
        A `Site`.
    """
    from infra.aws import site

    plan = planned(stack, secret_keys, **more)
    return recorded(lambda: site.deploy(plan), preview=preview, stack=stack, answers=answers)


seen = functools.cache(record_site)
"""The same, recorded once for all tests that look at it."""


def recorded(program, *, preview=False, stack="dev", answers=None):
    """All that a program registers, and its outputs, as a `Site`.

    Bundles are made, but without the wheels of a wheelhouse, which would be downloaded: a GB.
    """
    given = Amazon(OUTPUTS, {**ANSWERS, **(answers or {})})
    with mock.patch.object(wheelhouse, "download", return_value=[]):
        return Site(*record(program, given, preview=preview, stack_name=stack))


class Site:
    """Recorded resources.

    Attributes:
        resources: in order.
        outputs: those that are known.
    """

    def __init__(self, resources, outputs):
        self.resources, self.outputs = resources, outputs

    def all(self, kind):
        """The resources of a kind, such as `Subnet`; components are none."""
        return [each for each in self.resources if each.custom and each.kind == kind]

    def one(self, kind, what=None):
        """The only resource of a kind, or the one of that name without the site's."""
        found = [each for each in self.all(kind) if what is None or each.name.endswith(f"-{what}")]
        assert len(found) == 1, [each.name for each in self.all(kind)]
        return found[0]

    def statements(self, kind, what=None, field="policy"):
        """The statements of a policy, by their names."""
        policy = json.loads(self.one(kind, what).inputs[field])
        assert policy["Version"] == "2012-10-17"
        found = {each["Sid"]: each for each in policy["Statement"]}
        assert len(found) == len(policy["Statement"])
        return found
