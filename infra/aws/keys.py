"""The site's key: everything that a site keeps is encrypted with it, and only by those who need it."""

import dataclasses

import pulumi
import pulumi_aws as aws

from infra.aws import logs
from infra.aws.account import Account
from infra.aws.policy_document import Statement, allow, document
from infra.deployment import Deployment
from infra.options import after, child, kept

ADMINISTRATION = (
    *("kms:DescribeKey", "kms:EnableKey", "kms:DisableKey", "kms:UpdateKeyDescription"),
    *("kms:GetKeyPolicy", "kms:PutKeyPolicy", "kms:ListKeyPolicies"),
    *("kms:GetKeyRotationStatus", "kms:EnableKeyRotation", "kms:DisableKeyRotation"),
    *("kms:ListKeyRotations", "kms:RotateKeyOnDemand"),
    *("kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias"),
    *("kms:ListResourceTags", "kms:TagResource", "kms:UntagResource"),
    *("kms:ListGrants", "kms:RevokeGrant"),
    *("kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion"),
)
"""What the account's administrators may do to the key, if their own policies say so, too; nothing of it decrypts."""
ENVELOPE = ("kms:Decrypt", "kms:GenerateDataKey")
"""What services need that encrypt by data keys."""
ENCRYPTION = (
    *("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
    *("kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"),
)


@dataclasses.dataclass(frozen=True)
class KeyArgs:
    """What `Key` needs.

    Attributes:
        deployment: the site.
        account: where it is.
    """

    deployment: Deployment
    account: Account


class Key(pulumi.ComponentResource):
    """A symmetric key of AWS KMS that changes each year, and the role by which Auto Scaling uses it for disks.

    Auto Scaling's usual role may not exist in the account yet, and a key's policy cannot name what does not exist; it
    also serves every other group of the account. So the site's groups have a service-linked role of their own.

    Attributes:
        arn: the key's ARN; ready when its policy is.
        key_id: its id.
        autoscaling_role_arn: the role that the site's Auto Scaling groups must be given.
    """

    def __init__(self, name: str, args: KeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:aws:Key", name, None, opts)
        deployment = args.deployment
        key = aws.kms.Key(
            deployment.named("key"),
            description=f"What the Slipway site {deployment.stack} keeps",
            enable_key_rotation=True,
            deletion_window_in_days=deployment.settings.rules.key_deletion_days,
            opts=kept(self, deployment),
        )
        aws.kms.Alias(deployment.named("key"), target_key_id=key.key_id, opts=child(self))
        role = aws.iam.ServiceLinkedRole(
            deployment.named("autoscaling"),
            aws_service_name="autoscaling.amazonaws.com",
            # Names of roles are the account's: the key's id makes it one of a kind. 35 characters are left for this.
            custom_suffix=key.key_id.apply(lambda key_id: f"{deployment.name}-{key_id[:8]}"),
            description=f"Auto Scaling of the Slipway site {deployment.stack}",
            opts=child(self),
        )
        policy = aws.kms.KeyPolicy(
            deployment.named("key"),
            key_id=key.key_id,
            policy=document(*statements(deployment, args.account, role.arn)),
            opts=child(self),
        )
        self.arn: pulumi.Output[str] = after(key.arn, policy.id)
        self.key_id: pulumi.Output[str] = after(key.key_id, policy.id)
        self.autoscaling_role_arn: pulumi.Output[str] = after(role.arn, policy.id)
        self.register_outputs(
            {"arn": self.arn, "key_id": self.key_id, "autoscaling_role_arn": self.autoscaling_role_arn}
        )


def statements(
    deployment: Deployment, account: Account, autoscaling_role_arn: pulumi.Input[str]
) -> tuple[Statement, ...]:
    """The key's policy: who may use it, and for what."""
    root = {"AWS": account.iam_arn("root")}
    auto_scaling = {"AWS": autoscaling_role_arn}
    from_this_account = {"StringEquals": {"aws:SourceAccount": account.account_id}}
    s3 = f"s3.{account.region}.amazonaws.com"
    log_groups = account.arn("logs", f"log-group:{logs.prefix(deployment)}*")
    return (
        # The account, not its users: their own policies must allow it as well.
        allow("Administration", ADMINISTRATION, ["*"], principal=root),
        allow("Objects", ENVELOPE, ["*"], principal=root, conditions={"StringEquals": {"kms:ViaService": s3}}),
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        allow(
            "Logs",
            ENCRYPTION,
            ["*"],
            principal={"Service": f"logs.{account.region}.amazonaws.com"},
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": log_groups}},
        ),
        # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
        allow(
            "Notifications",
            ENVELOPE,
            ["*"],
            principal={"Service": ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]},
            conditions=from_this_account,
        ),
        # https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
        allow("Disks", ENCRYPTION, ["*"], principal=auto_scaling),
        allow(
            "DisksOfMachines",
            ["kms:CreateGrant"],
            ["*"],
            principal=auto_scaling,
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    )
