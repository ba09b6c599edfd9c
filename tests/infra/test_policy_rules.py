"""Each rule of the policy pack against what breaks it, and what does not."""

import json

import pytest

from infra.policy import aws, gcp, reference, rules
from infra.policy.rules import Companion, Resource
from infra.policy.waivers import Waiver

ALL = (*aws.RULES, *gcp.RULES)


def document(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


TEMPLATE = gcp.TEMPLATES[0]
BROKEN = {
    "aws-key-rotates": (aws.KEY, {"enableKeyRotation": False}),
    "aws-key-recoverable": (aws.KEY, {"deletionWindowInDays": 3}),
    "aws-key-not-public": (
        aws.KEY_POLICY,
        {"policy": document(Sid="All", Action="kms:*", Principal="*", Resource="*")},
    ),
    "aws-iam-no-wildcard-actions": (aws.POLICIES[0], {"policy": document(Action="s3:*", Resource="arn:x")}),
    "aws-iam-resources-named": (aws.POLICIES[0], {"policy": document(Action="s3:GetObject", Resource="*")}),
    "aws-iam-no-log-groups": (aws.POLICIES[1], {"policy": document(Action=["logs:CreateLogGroup"], Resource="x")}),
    "aws-role-bounded": (aws.ROLE, {"assumeRolePolicy": "{}"}),
    "aws-no-public-ingress": (
        "aws:ec2/securityGroup:SecurityGroup",
        {"ingress": [{"cidrBlocks": ["0.0.0.0/0"], "fromPort": 22}]},
    ),
    "aws-no-public-ingress-rule": ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", {"cidrIpv6": "::/0"}),
    "aws-subnet-private": ("aws:ec2/subnet:Subnet", {"mapPublicIpOnLaunch": True}),
    "aws-metadata-tokens": (aws.LAUNCH_TEMPLATE, {"metadataOptions": {"httpTokens": "optional"}}),
    "aws-metadata-near": (aws.LAUNCH_TEMPLATE, {"metadataOptions": {"httpPutResponseHopLimit": 2}}),
    "aws-machine-no-public-address": (
        aws.LAUNCH_TEMPLATE,
        {"networkInterfaces": [{"associatePublicIpAddress": "true"}]},
    ),
    "aws-disk-encrypted": (
        aws.LAUNCH_TEMPLATE,
        {"blockDeviceMappings": [{"deviceName": "/dev/sda1", "ebs": {"encrypted": "true"}}]},
    ),
    "aws-group-over-zones": (aws.GROUP, {"vpcZoneIdentifiers": ["subnet-1"]}),
    "aws-group-by-template": (aws.GROUP, {"launchConfiguration": "old"}),
    "aws-group-tags-machines": (aws.GROUP, {"tags": [{"key": "slipway-stack", "propagateAtLaunch": False}]}),
    "aws-logs-end": (aws.LOG_GROUP, {"kmsKeyId": "key"}),
    "aws-logs-encrypted": (aws.LOG_GROUP, {"retentionInDays": 30}),
    "aws-topic-encrypted": (aws.TOPIC, {}),
    "aws-topic-not-public": (
        "aws:sns/topicPolicy:TopicPolicy",
        {"policy": document(Action="sns:Publish", Principal={"AWS": "*"}, Resource="x")},
    ),
    "aws-athena-encrypted": (aws.WORKGROUP, {"configuration": {"resultConfiguration": {}}}),
    "gcp-bucket-uniform": (gcp.BUCKET, {}),
    "gcp-bucket-never-public": (gcp.BUCKET, {"publicAccessPrevention": "inherited"}),
    "gcp-bucket-versioned": (gcp.BUCKET, {"versioning": {"enabled": False}}),
    "gcp-bucket-encrypted": (gcp.BUCKET, {}),
    "gcp-bucket-soft-delete-chosen": (gcp.BUCKET, {}),
    "gcp-bucket-ends-uploads": (gcp.BUCKET, {"lifecycleRules": [{"action": {"type": "Delete"}}]}),
    "gcp-nobody-in-particular": (gcp.GRANTS[2], {"member": "allUsers", "role": "roles/storage.objectViewer"}),
    "gcp-no-primitive-roles": (gcp.PROJECT_GRANTS[0], {"member": "user:a@b.c", "role": "roles/editor"}),
    "gcp-no-impersonation": (gcp.PROJECT_GRANTS[0], {"member": "user:a", "role": "roles/iam.serviceAccountUser"}),
    "gcp-no-administrators": (
        gcp.PROJECT_GRANTS[1],
        {"members": ["serviceAccount:a@p.iam"], "role": "roles/compute.instanceAdmin.v1"},
    ),
    "gcp-no-default-account-granted": (
        gcp.GRANTS[0],
        {"member": "serviceAccount:1-compute@developer.gserviceaccount.com", "role": "roles/x"},
    ),
    "gcp-no-account-keys": ("gcp:serviceaccount/key:Key", {}),
    "gcp-key-rotates": (gcp.CRYPTO_KEY, {"rotationPeriod": "7776001s"}),
    "gcp-network-custom": (gcp.NETWORK, {}),
    "gcp-subnet-flow-logs": (gcp.SUBNETWORK, {}),
    "gcp-subnet-google-access": (gcp.SUBNETWORK, {}),
    "gcp-no-public-ingress": (gcp.FIREWALL, {"allows": [{"protocol": "tcp"}], "sourceRanges": ["0.0.0.0/0"]}),
    "gcp-machine-no-external-address": (TEMPLATE, {"networkInterfaces": [{"accessConfigs": [{}]}]}),
    "gcp-machine-shielded": (TEMPLATE, {"shieldedInstanceConfig": {"enableVtpm": True}}),
    "gcp-machine-secure-boot": (TEMPLATE, {"shieldedInstanceConfig": {"enableSecureBoot": False}}),
    "gcp-machine-own-account": (TEMPLATE, {"serviceAccount": {"email": "1-compute@developer.gserviceaccount.com"}}),
    "gcp-machine-login": (TEMPLATE, {"metadata": {"enable-oslogin": "TRUE"}}),
    "gcp-machine-no-forwarding": (TEMPLATE, {"canIpForward": True}),
    "gcp-disk-encrypted": (TEMPLATE, {"disks": [{"boot": True}]}),
    "gcp-logs-encrypted": (gcp.LOG_BUCKET, {"retentionDays": 30}),
    "gcp-logs-end": (gcp.LOG_BUCKET, {}),
    "gcp-dataset-encrypted": (gcp.DATASET, {}),
    "gcp-dataset-closed": (gcp.DATASET, {"accesses": [{"specialGroup": "allAuthenticatedUsers"}]}),
    "gcp-topic-encrypted": (gcp.TOPIC, {}),
}
"""By rule, a resource that breaks it."""

WHOLE = {
    "aws-bucket-encrypted": {
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "key"}}]
    },
    "aws-bucket-versioned": {"versioningConfiguration": {"status": "Enabled"}},
    "aws-bucket-tls-only": {
        "policy": document(
            Effect="Deny", Action="s3:*", Principal="*", Resource="x",
            Condition={"Bool": {"aws:SecureTransport": "false"}},
        )
    },
    "aws-bucket-not-public": dict.fromkeys(aws.BLOCKS, True),
    "aws-bucket-owner-enforced": {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
    "aws-bucket-ends-uploads": {
        "rules": [{"status": "Enabled", "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7}}]
    },
    "aws-bucket-access-logged": {"targetBucket": "logs"},
    "aws-key-own-policy": {"policy": document(Action="kms:*", Principal={"AWS": "arn:aws:iam::1:root"}, Resource="*")},
    "aws-network-default-group-empty": {},
    "aws-network-flow-logs": {"trafficType": "ALL"},
    "gcp-network-denies": {"denies": [{"protocol": "all"}]},
}  # fmt: skip
"""By rule about companions, a companion that will do."""

SPOILT = {
    "aws-bucket-encrypted": {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
    "aws-bucket-versioned": {"versioningConfiguration": {"status": "Suspended"}},
    "aws-bucket-tls-only": {"policy": document(Effect="Deny", Action="s3:*", Principal="*", Resource="x")},
    "aws-bucket-not-public": dict.fromkeys(aws.BLOCKS[1:], True),
    "aws-bucket-owner-enforced": {"rule": {"objectOwnership": "ObjectWriter"}},
    "aws-bucket-ends-uploads": {"rules": [{"status": "Enabled", "expiration": {"days": 1}}]},
    "aws-bucket-access-logged": {},
    "aws-key-own-policy": {"policy": "{}"},
    "aws-network-default-group-empty": {"ingress": [{"self": True}]},
    "aws-network-flow-logs": {"trafficType": "REJECT"},
    "gcp-network-denies": {"denies": [{"protocol": "tcp"}]},
}
"""And one that will not."""


def single(kind, properties, name="slipway-dev-thing"):
    return Resource(kind, name, f"urn::{name}", properties)


def test_every_rule_has_an_example_and_no_name_comes_twice():
    names = [rule.name for rule in ALL]
    assert len(set(names)) == len(names)
    companions = {rule.name for rule in ALL if isinstance(rule, Companion)}
    assert BROKEN.keys() == set(names) - companions
    assert WHOLE.keys() == SPOILT.keys() == companions
    assert all(rule.references and rule.says.endswith(".") and rule.kinds for rule in ALL)


@pytest.mark.parametrize("rule", [rule for rule in ALL if not isinstance(rule, Companion)], ids=lambda rule: rule.name)
def test_a_broken_resource_is_found(rule):
    resource = single(*BROKEN[rule.name])
    (found, *_) = rules.violations([rule], [resource])
    assert found.resource is resource
    assert found.problem
    assert not rules.violations([rule], [single("aws:other/kind:Kind", BROKEN[rule.name][1])])


@pytest.mark.parametrize("rule", [rule for rule in ALL if isinstance(rule, Companion)], ids=lambda rule: rule.name)
def test_a_missing_and_a_spoilt_companion_are_found(rule):
    owner = single(rule.kinds[0], {})

    def beside(properties, urn=owner.urn):
        return Resource(rule.companion, "companion", "urn::companion", properties, {rule.key: [urn]})

    assert rules.violations([rule], [owner])
    assert rules.violations([rule], [owner, beside(SPOILT[rule.name])])
    assert rules.violations([rule], [owner, beside(WHOLE[rule.name], urn="urn::another")])
    assert not rules.violations([rule], [owner, beside(WHOLE[rule.name])])


GOOD = [
    (aws.KEY, {"enableKeyRotation": True, "deletionWindowInDays": 7}),
    (aws.KEY_POLICY, {"policy": document(Action="kms:*", Principal={"AWS": "arn:aws:iam::1:root"}, Resource="*")}),
    (aws.POLICIES[0], {"policy": document(Action="ssmmessages:OpenDataChannel", Resource="*")}),
    (TEMPLATE, {
        "machineType": "g2-standard-4", "metadata": {"enable-oslogin": "TRUE", "block-project-ssh-keys": "TRUE"},
        "shieldedInstanceConfig": {"enableVtpm": True, "enableIntegrityMonitoring": True},
        "serviceAccount": {"email": "node@p.iam"}, "disks": [{"diskEncryptionKey": {"kmsKeySelfLink": "key"}}]}),
    (aws.POLICIES[0], {"policy": document(Action=["s3:GetObject"], Resource="arn:aws:s3:::b/runs/*")}),
    (aws.POLICIES[0], {"policy": document(Action="cloudwatch:PutMetricData", Resource="*", Condition={
        "StringEquals": {"cloudwatch:namespace": "Slipway/dev"}})}),
    ("aws:ec2/securityGroup:SecurityGroup", {"ingress": [], "egress": [{"cidrBlocks": ["0.0.0.0/0"]}]}),
    ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", {"cidrIpv4": "10.20.0.0/16"}),
    (aws.LAUNCH_TEMPLATE, {
        "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
        "blockDeviceMappings": [{"deviceName": "/dev/sda1", "ebs": {"encrypted": "true", "kmsKeyId": "key"}}],
        "networkInterfaces": [{"associatePublicIpAddress": "false"}]}),
    (gcp.FIREWALL, {"allows": [{"protocol": "tcp"}], "sourceRanges": ["35.235.240.0/20"]}),
    (gcp.FIREWALL, {"direction": "EGRESS", "allows": [{"protocol": "all"}], "destinationRanges": ["0.0.0.0/0"]}),
    (gcp.CRYPTO_KEY, {"rotationPeriod": "7776000s"}),
    (gcp.PROJECT_GRANTS[0], {"member": "serviceAccount:n@p.iam", "role": "roles/logging.logWriter"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "properties"), GOOD)
def test_what_is_as_it_should_be_breaks_nothing(kind, properties):
    plain = [rule for rule in ALL if not isinstance(rule, Companion)]
    assert rules.violations(plain, [single(kind, properties)]) == []


def test_a_waiver_excepts_what_it_names_alone(monkeypatch):
    waived = Waiver("aws-logs-end", aws.LOG_GROUP, "-kept", "for ever, by law")
    monkeypatch.setattr(rules, "WAIVERS", (waived,))
    rule = next(rule for rule in ALL if rule.name == "aws-logs-end")
    kept, other = (single(aws.LOG_GROUP, {}, name) for name in ("slipway-dev-kept", "slipway-dev-runs"))
    assert [found.resource for found in rules.violations([rule], [kept, other])] == [other]


def test_the_docs_name_every_rule():
    page = reference.page()
    assert all(f"| `{rule.name}` |" in page for rule in ALL)
