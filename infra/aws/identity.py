"""Who a machine is, and what that identity may do: exactly what training needs, on this site's things alone."""

import dataclasses

import pulumi
import pulumi_aws as aws

from infra.aws.account import Account
from infra.aws.policy_document import Statement, allow, document, trust
from infra.aws.roles import bounded
from infra.aws.storage import BUNDLES, RUNS
from infra.deployment import STACK_TAG, Deployment
from infra.options import child
from infra.settings import SCALE_IN


@dataclasses.dataclass(frozen=True)
class IdentityArgs:
    """What `Identity` needs.

    Attributes:
        deployment: the site.
        account: where it is.
        bucket_arn: of its bucket.
        key_arn: of the key that encrypts the bucket.
        log_group_arn: of its log group, without `:*` at the end.
    """

    deployment: Deployment
    account: Account
    bucket_arn: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    log_group_arn: pulumi.Input[str]


class Identity(pulumi.ComponentResource):
    """The machines' role, and its instance profile.

    Attributes:
        profile_arn: the instance profile's ARN; ready when its role may do what it must.
        profile_name: its name.
        role_arn: the role's ARN.
    """

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:aws:Identity", name, None, opts)
        deployment = args.deployment
        role = bounded(
            deployment,
            "node",
            f"Machines of the Slipway site {deployment.stack}",
            trust("ec2"),
            document(*statements(args)),
            self,
        )
        profile = aws.iam.InstanceProfile(deployment.named("node"), role=role.name, opts=child(self))
        self.profile_arn: pulumi.Output[str] = profile.arn
        self.profile_name: pulumi.Output[str] = profile.name
        self.role_arn: pulumi.Output[str] = role.arn
        self.register_outputs(
            {"profile_arn": self.profile_arn, "profile_name": self.profile_name, "role_arn": self.role_arn}
        )


def statements(args: IdentityArgs) -> tuple[Statement, ...]:
    """What a machine may do."""
    deployment, account = args.deployment, args.account
    always = (
        allow(
            "Runs",
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            [pulumi.Output.concat(args.bucket_arn, f"/{RUNS}*")],
        ),
        allow("Bundles", ["s3:GetObject"], [pulumi.Output.concat(args.bucket_arn, f"/{BUNDLES}*")]),
        # S3 says that an object is missing only to who may list; such a request has no prefix. Without `IfExists` a
        # missing object would look like a forbidden one.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        allow(
            "List",
            ["s3:ListBucket"],
            [args.bucket_arn],
            conditions={"StringLikeIfExists": {"s3:prefix": f"{RUNS}*"}},
        ),
        allow(
            "Encryption",
            ["kms:Decrypt", "kms:GenerateDataKey"],
            [args.key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"s3.{account.region}.amazonaws.com"}},
        ),
        # Without logs:CreateLogGroup: a group that was removed would come back, and never go.
        allow(
            "Logs",
            ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [pulumi.Output.concat(args.log_group_arn, ":*")],
        ),
        allow(
            "Metrics",
            ["cloudwatch:PutMetricData"],
            ["*"],  # it knows no resources
            conditions={"StringEquals": {"cloudwatch:namespace": deployment.metric_namespace}},
        ),
        # https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
        allow("Sessions", ["ssm:UpdateInstanceInformation"], [account.arn("ec2", "instance/*")]),
        allow(
            "SessionChannels",
            [
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
            ],
            ["*"],  # they know no resources
        ),
    )
    if deployment.settings.when_done != SCALE_IN:
        return always
    groups = account.arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{deployment.name}-*")
    # The tag, as one stack's name may begin with another's.
    mine = {"StringEquals": {f"aws:ResourceTag/{STACK_TAG}": deployment.stack}}
    return (*always, allow("End", ["autoscaling:TerminateInstanceInAutoScalingGroup"], [groups], conditions=mine))
