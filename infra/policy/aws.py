"""Rules for what a site has in AWS.

References: AWS Foundational Security Best Practices (https://docs.aws.amazon.com/securityhub/latest/userguide/
fsbp-standard.html) by their control ids, and checkov's (https://www.checkov.io/5.Policy%20Index/terraform.html).
"""

from collections.abc import Iterator

from infra.policy.rules import AnyRule, Companion, Resource, Rule, listed, statements

BUCKET = "aws:s3/bucket:Bucket"
KEY, KEY_POLICY = "aws:kms/key:Key", "aws:kms/keyPolicy:KeyPolicy"
VPC = "aws:ec2/vpc:Vpc"
LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
GROUP = "aws:autoscaling/group:Group"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
TOPIC = "aws:sns/topic:Topic"
ROLE = "aws:iam/role:Role"
WORKGROUP = "aws:athena/workgroup:Workgroup"
POLICIES = ("aws:iam/policy:Policy", "aws:iam/rolePolicy:RolePolicy")
BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
ANYWHERE = ("0.0.0.0/0", "::/0")
WITHOUT_RESOURCES = frozenset(
    {
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    }
)
"""Actions of Session Manager that AWS allows on every resource or none.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonmessagegatewayservice.html
"""


def _encrypted_bucket(companion: Resource) -> bool:
    default = companion.get("rules.0.applyServerSideEncryptionByDefault", {})
    return default.get("sseAlgorithm") == "aws:kms" and bool(default.get("kmsMasterKeyId"))


def _tls_only(companion: Resource) -> bool:
    return any(
        each.get("Effect") == "Deny"
        and listed(each.get("Action")) == ["s3:*"]
        and each.get("Principal") in ("*", {"AWS": "*"})
        and str(each.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")).lower() == "false"
        for each in statements(companion.document("policy"))
    )


def _ends_uploads(companion: Resource) -> bool:
    rules = companion.get("rules", [])
    return any(each.get("abortIncompleteMultipartUpload") and each.get("status") == "Enabled" for each in rules)


def _rotates(key: Resource) -> Iterator[str]:
    if key.get("enableKeyRotation") is not True:
        yield "enableKeyRotation is not true"


def _can_be_had_back(key: Resource) -> Iterator[str]:
    if key.get("deletionWindowInDays", 30) < 7:
        yield "it is gone within 7 days"


def _not_for_everybody(key: Resource) -> Iterator[str]:
    for each in statements(key.document("policy")):
        if each.get("Effect") == "Allow" and each.get("Principal") in ("*", {"AWS": "*"}) and not each.get("Condition"):
            yield f"everybody may use it by statement {each.get('Sid', '')}"


def _no_wildcard_actions(policy: Resource) -> Iterator[str]:
    for each in statements(policy.document("policy")):
        if each.get("Effect") != "Allow":
            continue
        yield from (f"it allows {action}" for action in listed(each.get("Action")) if "*" in action)
        if "NotAction" in each or "NotResource" in each:
            yield "it allows all but something"


def _resources_named(policy: Resource) -> Iterator[str]:
    for each in statements(policy.document("policy")):
        named = [action for action in listed(each.get("Action")) if action not in WITHOUT_RESOURCES]
        anything = each.get("Effect") == "Allow" and "*" in listed(each.get("Resource")) and not each.get("Condition")
        if anything and named:
            yield f"it allows {', '.join(named)} on every resource, without a condition"


def _no_log_groups(policy: Resource) -> Iterator[str]:
    for each in statements(policy.document("policy")):
        if each.get("Effect") == "Allow" and "logs:CreateLogGroup" in listed(each.get("Action")):
            yield "a log group that was removed would come back, without retention"


def _has_boundary(role: Resource) -> Iterator[str]:
    if not role.get("permissionsBoundary"):
        yield "it has no permissionsBoundary"


def _no_ingress(group: Resource) -> Iterator[str]:
    for rule in group.get("ingress", []):
        sources = [*rule.get("cidrBlocks", []), *rule.get("ipv6CidrBlocks", [])]
        if any(source in ANYWHERE for source in sources):
            yield "anybody may come in"


def _no_ingress_rule(rule: Resource) -> Iterator[str]:
    incoming = rule.type.endswith("SecurityGroupIngressRule") or rule.get("type") == "ingress"
    sources = [rule.get("cidrIpv4"), rule.get("cidrIpv6"), *rule.get("cidrBlocks", [])]
    if incoming and any(source in ANYWHERE for source in sources):
        yield "anybody may come in"


def _emptied(companion: Resource) -> bool:
    return not companion.get("ingress") and not companion.get("egress")


def _private_subnet(subnet: Resource) -> Iterator[str]:
    if subnet.get("mapPublicIpOnLaunch"):
        yield "machines get public addresses there"


def _tokens(template: Resource) -> Iterator[str]:
    if template.get("metadataOptions.httpTokens") != "required":
        yield "metadataOptions.httpTokens is not required"


def _hops(template: Resource) -> Iterator[str]:
    if template.get("metadataOptions.httpPutResponseHopLimit", 1) > 1:
        yield "metadata can be had from further than the machine itself"


def _no_public_address(template: Resource) -> Iterator[str]:
    for interface in template.get("networkInterfaces", []):
        if str(interface.get("associatePublicIpAddress", "false")).lower() != "false":
            yield "machines get public addresses"


def _encrypted_disks(template: Resource) -> Iterator[str]:
    disks = template.get("blockDeviceMappings", [])
    if not disks:
        yield "the image's own disk is taken as it is"
    for disk in disks:
        device = disk.get("ebs", {})
        if str(device.get("encrypted")).lower() != "true" or not device.get("kmsKeyId"):
            yield f"{disk.get('deviceName')} is not encrypted with the site's key"


def _over_zones(group: Resource) -> Iterator[str]:
    if len(group.get("vpcZoneIdentifiers", [])) < 2:
        yield "it is in one zone alone"


def _by_template(group: Resource) -> Iterator[str]:
    if group.get("launchConfiguration") or not (group.get("launchTemplate") or group.get("mixedInstancesPolicy")):
        yield "it has no launch template"


def _tagged_machines(group: Resource) -> Iterator[str]:
    tags = {each.get("key"): each.get("propagateAtLaunch") for each in group.get("tags", [])}
    if tags.get("slipway-stack") is not True:
        yield "its machines do not get the tag slipway-stack"


def _kept_logs(group: Resource) -> Iterator[str]:
    if not group.get("retentionInDays"):
        yield "it keeps logs for ever"


def _encrypted_logs(group: Resource) -> Iterator[str]:
    if not group.get("kmsKeyId"):
        yield "it has no kmsKeyId"


def _encrypted_topic(topic: Resource) -> Iterator[str]:
    if not topic.get("kmsMasterKeyId"):
        yield "it has no kmsMasterKeyId"


def _topic_policy(policy: Resource) -> Iterator[str]:
    for each in statements(policy.document("policy")):
        if each.get("Effect") == "Allow" and each.get("Principal") in ("*", {"AWS": "*"}) and not each.get("Condition"):
            yield "everybody may publish"


def _encrypted_answers(group: Resource) -> Iterator[str]:
    settings = group.get("configuration", {})
    encryption = settings.get("resultConfiguration", {}).get("encryptionConfiguration", {})
    if encryption.get("encryptionOption") != "SSE_KMS" or not encryption.get("kmsKeyArn"):
        yield "results are not encrypted with the site's key"
    if settings.get("enforceWorkgroupConfiguration") is False:
        yield "whoever asks may say otherwise"


RULES: tuple[AnyRule, ...] = (
    Companion(
        "aws-bucket-encrypted",
        "Buckets are encrypted with the site's own key.",
        ("FSBP S3.17", "CKV_AWS_145"),
        (BUCKET,),
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "bucket",
        _encrypted_bucket,
    ),
    Companion(
        "aws-bucket-versioned",
        "Buckets keep versions, so that what is overwritten or deleted can be had back.",
        ("FSBP S3.14", "CKV_AWS_21"),
        (BUCKET,),
        "aws:s3/bucketVersioning:BucketVersioning",
        "bucket",
        lambda companion: companion.get("versioningConfiguration.status") == "Enabled",
    ),
    Companion(
        "aws-bucket-tls-only",
        "Buckets are reached by TLS alone.",
        ("FSBP S3.5",),
        (BUCKET,),
        "aws:s3/bucketPolicy:BucketPolicy",
        "bucket",
        _tls_only,
    ),
    Companion(
        "aws-bucket-not-public",
        "Nothing can make a bucket public.",
        ("FSBP S3.1", "FSBP S3.2", "FSBP S3.3", "FSBP S3.8", "CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55", "CKV_AWS_56",
         "CKV2_AWS_6"),
        (BUCKET,),
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "bucket",
        lambda companion: all(companion.get(name) is True for name in BLOCKS),
    ),
    Companion(
        "aws-bucket-owner-enforced",
        "Buckets know no access lists: whoever writes, the account owns.",
        ("FSBP S3.12", "CKV2_AWS_65"),
        (BUCKET,),
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "bucket",
        lambda companion: companion.get("rule.objectOwnership") == "BucketOwnerEnforced",
    ),
    Companion(
        "aws-bucket-ends-uploads",
        "Buckets have a lifecycle, and give up uploads that were never completed.",
        ("FSBP S3.10", "FSBP S3.13", "CKV2_AWS_61", "CKV_AWS_300"),
        (BUCKET,),
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "bucket",
        _ends_uploads,
    ),
    Companion(
        "aws-bucket-access-logged",
        "Who reads and writes a bucket is logged.",
        ("FSBP S3.9", "CKV_AWS_18"),
        (BUCKET,),
        "aws:s3/bucketLogging:BucketLogging",
        "bucket",
        lambda companion: bool(companion.get("targetBucket")),
    ),
    Rule("aws-key-rotates", "Keys are rotated.", ("FSBP KMS.4", "CKV_AWS_7"), (KEY,), _rotates),
    Rule(
        "aws-key-recoverable",
        "A key that was deleted by mistake can be had back for a week.",
        ("FSBP KMS.3",),
        (KEY,),
        _can_be_had_back,
    ),
    Companion(
        "aws-key-own-policy",
        "Keys have a policy of their own.",
        ("CKV2_AWS_64",),
        (KEY,),
        KEY_POLICY,
        "keyId",
        lambda companion: bool(statements(companion.document("policy"))),
    ),
    Rule(
        "aws-key-not-public",
        "No key is for everybody.",
        ("FSBP KMS.5", "CKV_AWS_33"),
        (KEY, KEY_POLICY),
        _not_for_everybody,
    ),
    Rule(
        "aws-iam-no-wildcard-actions",
        "Policies name each action that they allow.",
        ("FSBP IAM.1", "FSBP IAM.21", "CKV_AWS_62", "CKV_AWS_63", "CKV2_AWS_40"),
        POLICIES,
        _no_wildcard_actions,
    ),
    Rule(
        "aws-iam-resources-named",
        "Policies name the resources that they allow something on, or a condition where AWS knows no such resources.",
        ("CKV_AWS_288", "CKV_AWS_289", "CKV_AWS_290", "CKV_AWS_355"),
        POLICIES,
        _resources_named,
    ),
    Rule(
        "aws-iam-no-log-groups",
        "No role may make log groups.",
        ("hashicorp/terraform-provider-aws#44676",),
        POLICIES,
        _no_log_groups,
    ),
    Rule(
        "aws-role-bounded",
        "Roles have a permissions boundary.",
        ("https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html",),
        (ROLE,),
        _has_boundary,
    ),
    Companion(
        "aws-network-default-group-empty",
        "The default security group of a network allows nothing.",
        ("FSBP EC2.2", "CKV2_AWS_12"),
        (VPC,),
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "vpcId",
        _emptied,
    ),
    Companion(
        "aws-network-flow-logs",
        "All traffic of a network is logged.",
        ("FSBP EC2.6", "CKV2_AWS_11"),
        (VPC,),
        "aws:ec2/flowLog:FlowLog",
        "vpcId",
        lambda companion: companion.get("trafficType") == "ALL",
    ),
    Rule(
        "aws-no-public-ingress",
        "Nobody comes in from anywhere.",
        ("FSBP EC2.13", "FSBP EC2.14", "FSBP EC2.18", "FSBP EC2.19", "CKV_AWS_24", "CKV_AWS_25", "CKV_AWS_260",
         "CKV_AWS_277"),
        ("aws:ec2/securityGroup:SecurityGroup",),
        _no_ingress,
    ),
    Rule(
        "aws-no-public-ingress-rule",
        "Nobody comes in from anywhere, by rules of their own either.",
        ("FSBP EC2.18", "FSBP EC2.19", "CKV_AWS_24", "CKV_AWS_25", "CKV_AWS_260", "CKV_AWS_277"),
        ("aws:ec2/securityGroupRule:SecurityGroupRule", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"),
        _no_ingress_rule,
    ),
    Rule(
        "aws-subnet-private",
        "Subnets give out no public addresses.",
        ("FSBP EC2.15", "CKV_AWS_130"),
        ("aws:ec2/subnet:Subnet",),
        _private_subnet,
    ),
    Rule(
        "aws-metadata-tokens",
        "Machines answer about themselves to requests with tokens alone (IMDSv2).",
        ("FSBP EC2.8", "FSBP AutoScaling.3", "CKV_AWS_79"),
        (LAUNCH_TEMPLATE,),
        _tokens,
    ),
    Rule(
        "aws-metadata-near",
        "Metadata does not leave the machine.",
        ("FSBP AutoScaling.4", "CKV_AWS_341"),
        (LAUNCH_TEMPLATE,),
        _hops,
    ),
    Rule(
        "aws-machine-no-public-address",
        "Machines have no public address.",
        ("FSBP EC2.9", "FSBP EC2.25", "CKV_AWS_88"),
        (LAUNCH_TEMPLATE,),
        _no_public_address,
    ),
    Rule(
        "aws-disk-encrypted",
        "Disks are encrypted with the site's own key.",
        ("FSBP EC2.3", "CKV_AWS_8", "CKV_AWS_189"),
        (LAUNCH_TEMPLATE,),
        _encrypted_disks,
    ),
    Rule(
        "aws-group-over-zones",
        "Groups spread over zones.",
        ("FSBP AutoScaling.2",),
        (GROUP,),
        _over_zones,
    ),
    Rule(
        "aws-group-by-template",
        "Groups have launch templates.",
        ("FSBP AutoScaling.9", "CKV_AWS_315"),
        (GROUP,),
        _by_template,
    ),
    Rule(
        "aws-group-tags-machines",
        "Machines carry the site's tag, which a group's own tags alone do.",
        ("CKV_AWS_153", "hashicorp/terraform-provider-aws#19387"),
        (GROUP,),
        _tagged_machines,
    ),
    Rule("aws-logs-end", "Logs are kept for a time.", ("CKV_AWS_66",), (LOG_GROUP,), _kept_logs),
    Rule(
        "aws-logs-encrypted",
        "Logs are encrypted with the site's own key.",
        ("CKV_AWS_158",),
        (LOG_GROUP,),
        _encrypted_logs,
    ),
    Rule(
        "aws-topic-encrypted",
        "Alarms are encrypted on their way.",
        ("FSBP SNS.1", "CKV_AWS_26"),
        (TOPIC,),
        _encrypted_topic,
    ),
    Rule(
        "aws-topic-not-public",
        "Only the account's own alarms are published.",
        ("FSBP SNS.4", "CKV_AWS_169"),
        ("aws:sns/topicPolicy:TopicPolicy",),
        _topic_policy,
    ),
    Rule(
        "aws-athena-encrypted",
        "Answers to queries are encrypted with the site's own key, whatever whoever asks says.",
        ("FSBP Athena.1", "CKV_AWS_82", "CKV_AWS_159"),
        (WORKGROUP,),
        _encrypted_answers,
    ),
)  # fmt: skip
"""All rules for AWS."""
