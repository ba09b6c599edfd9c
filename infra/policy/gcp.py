"""Rules for what a site has in Google Cloud.

References: CIS Google Cloud Platform Foundation Benchmark (https://www.cisecurity.org/benchmark/
google_cloud_computing_platform), and checkov's (https://www.checkov.io/5.Policy%20Index/terraform.html).
"""

from collections.abc import Iterator

from infra import machines
from infra.policy.rules import AnyRule, Companion, Resource, Rule

BUCKET = "gcp:storage/bucket:Bucket"
CRYPTO_KEY = "gcp:kms/cryptoKey:CryptoKey"
NETWORK = "gcp:compute/network:Network"
SUBNETWORK = "gcp:compute/subnetwork:Subnetwork"
FIREWALL = "gcp:compute/firewall:Firewall"
TEMPLATES = (
    "gcp:compute/instanceTemplate:InstanceTemplate",
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate",
)
DATASET = "gcp:bigquery/dataset:Dataset"
TABLE = "gcp:bigquery/table:Table"
TOPIC = "gcp:pubsub/topic:Topic"
LOG_BUCKET = "gcp:logging/projectBucketConfig:ProjectBucketConfig"
PROJECT_GRANTS = (
    "gcp:projects/iAMMember:IAMMember",
    "gcp:projects/iAMBinding:IAMBinding",
)
GRANTS = (
    *PROJECT_GRANTS,
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "gcp:storage/bucketIAMBinding:BucketIAMBinding",
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
    "gcp:kms/cryptoKeyIAMBinding:CryptoKeyIAMBinding",
    "gcp:bigquery/datasetIamMember:DatasetIamMember",
    "gcp:pubsub/topicIAMMember:TopicIAMMember",
    "gcp:serviceaccount/iAMMember:IAMMember",
)
EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})
PRIMITIVE = frozenset({"roles/owner", "roles/editor", "roles/viewer"})
IMPERSONATING = frozenset(
    {
        "roles/iam.serviceAccountUser",
        "roles/iam.serviceAccountTokenCreator",
        "roles/iam.serviceAccountAdmin",
        "roles/iam.serviceAccountKeyAdmin",
        "roles/iam.workloadIdentityUser",
    }
)
FAMILIAR = ("35.235.240.0/20", "35.191.0.0/16", "130.211.0.0/22")
"""Identity-Aware Proxy's and the health checks' own addresses: nobody else comes in."""
MOST_ROTATION_SECONDS = 90 * 86_400


def _members(grant: Resource) -> list[str]:
    return [*grant.get("members", []), *([grant.get("member")] if grant.get("member") else [])]


def _uniform(bucket: Resource) -> Iterator[str]:
    if bucket.get("uniformBucketLevelAccess") is not True:
        yield "uniformBucketLevelAccess is not true"


def _never_public(bucket: Resource) -> Iterator[str]:
    if bucket.get("publicAccessPrevention") != "enforced":
        yield "publicAccessPrevention is not enforced"


def _versioned(bucket: Resource) -> Iterator[str]:
    if bucket.get("versioning.enabled") is not True:
        yield "versioning is not enabled"


def _encrypted_bucket(bucket: Resource) -> Iterator[str]:
    if not bucket.get("encryption.defaultKmsKeyName"):
        yield "it has no defaultKmsKeyName"


def _soft_delete(bucket: Resource) -> Iterator[str]:
    if bucket.get("softDeletePolicy.retentionDurationSeconds") is None:
        yield "softDeletePolicy is left to Google's default of 7 days, which is billed"


def _ends_uploads(bucket: Resource) -> Iterator[str]:
    kinds = [each.get("action", {}).get("type") for each in bucket.get("lifecycleRules", [])]
    if "AbortIncompleteMultipartUpload" not in kinds:
        yield "uploads that were never completed stay"


def _nobody_in_particular(grant: Resource) -> Iterator[str]:
    yield from (f"{member} gets {grant.get('role')}" for member in _members(grant) if member in EVERYBODY)


def _no_primitive(grant: Resource) -> Iterator[str]:
    if grant.get("role") in PRIMITIVE:
        yield f"{grant.get('role')} allows nearly everything"


def _no_impersonation(grant: Resource) -> Iterator[str]:
    if grant.get("role") in IMPERSONATING:
        yield f"{grant.get('role')} on the project lets act as any service account"


def _no_administrators(grant: Resource) -> Iterator[str]:
    role = str(grant.get("role", ""))
    for member in _members(grant):
        if str(member).startswith("serviceAccount:") and "admin" in role.rsplit("/", 1)[-1].lower():
            yield f"a service account gets {role}"


def _no_default_account(grant: Resource) -> Iterator[str]:
    for member in _members(grant):
        if str(member).endswith(("-compute@developer.gserviceaccount.com", "@appspot.gserviceaccount.com")):
            yield f"{member} is a default account"


def _no_keys(key: Resource) -> Iterator[str]:
    del key
    yield "a key of a service account can be copied"


def _rotates(key: Resource) -> Iterator[str]:
    period = str(key.get("rotationPeriod", ""))
    if not period.endswith("s") or float(period[:-1] or "inf") > MOST_ROTATION_SECONDS:
        yield f"rotationPeriod is {period or 'not set'}"


def _custom_mode(network: Resource) -> Iterator[str]:
    if network.get("autoCreateSubnetworks") is not False:
        yield "autoCreateSubnetworks is not false"


def _flow_logs(subnetwork: Resource) -> Iterator[str]:
    if not subnetwork.get("logConfig"):
        yield "it has no logConfig"


def _google_access(subnetwork: Resource) -> Iterator[str]:
    if subnetwork.get("privateIpGoogleAccess") is not True:
        yield "privateIpGoogleAccess is not true"


def _no_ingress(firewall: Resource) -> Iterator[str]:
    if firewall.get("direction", "INGRESS") != "INGRESS" or not firewall.get("allows"):
        return
    sources = firewall.get("sourceRanges", [])
    strangers = [each for each in sources if each not in FAMILIAR]
    if strangers or not (sources or firewall.get("sourceTags") or firewall.get("sourceServiceAccounts")):
        yield f"{', '.join(strangers) or 'anybody'} may come in"


def _denied(companion: Resource) -> bool:
    everything = any(each.get("protocol") == "all" for each in companion.get("denies", []))
    return everything and companion.get("direction", "INGRESS") == "INGRESS"


def _no_external_address(template: Resource) -> Iterator[str]:
    for interface in template.get("networkInterfaces", []):
        if interface.get("accessConfigs") or interface.get("ipv6AccessConfigs"):
            yield "machines get external addresses"


def _shielded(template: Resource) -> Iterator[str]:
    shielded = template.get("shieldedInstanceConfig", {})
    if shielded.get("enableVtpm") is not True or shielded.get("enableIntegrityMonitoring") is not True:
        yield "vTPM or integrity monitoring is off"


def _secure_boot(template: Resource) -> Iterator[str]:
    machine = machines.MACHINES["gcp"].get(str(template.get("machineType")))
    has_gpu = template.get("guestAccelerators") or (machine is not None and machine.gpus)
    if not has_gpu and template.get("shieldedInstanceConfig.enableSecureBoot") is not True:
        yield "secure boot is off"


def _own_account(template: Resource) -> Iterator[str]:
    email = template.get("serviceAccount.email")
    if not email or str(email).endswith("-compute@developer.gserviceaccount.com"):
        yield "machines have the default service account"


def _login(template: Resource) -> Iterator[str]:
    metadata = template.get("metadata", {})
    for name in ("block-project-ssh-keys", "enable-oslogin"):
        if str(metadata.get(name)).lower() != "true":
            yield f"metadata {name} is not true"
    if str(metadata.get("serial-port-enable", "false")).lower() != "false":
        yield "the serial port is open"


def _no_forwarding(template: Resource) -> Iterator[str]:
    if template.get("canIpForward"):
        yield "canIpForward is true"


def _encrypted_disks(template: Resource) -> Iterator[str]:
    disks = template.get("disks", [])
    if not disks or not all(each.get("diskEncryptionKey", {}).get("kmsKeySelfLink") for each in disks):
        yield "a disk is not encrypted with the site's key"


def _encrypted_log_bucket(bucket: Resource) -> Iterator[str]:
    if not bucket.get("cmekSettings.kmsKeyName"):
        yield "it has no cmekSettings"


def _kept_logs(bucket: Resource) -> Iterator[str]:
    if not bucket.get("retentionDays"):
        yield "it has no retentionDays"


def _encrypted_dataset(dataset: Resource) -> Iterator[str]:
    if not dataset.get("defaultEncryptionConfiguration.kmsKeyName"):
        yield "it has no defaultEncryptionConfiguration"


def _closed_dataset(dataset: Resource) -> Iterator[str]:
    for access in dataset.get("accesses", []):
        if access.get("specialGroup") == "allAuthenticatedUsers" or access.get("iamMember") in EVERYBODY:
            yield "everybody may read it"


def _encrypted_topic(topic: Resource) -> Iterator[str]:
    if not topic.get("kmsKeyName"):
        yield "it has no kmsKeyName"


RULES: tuple[AnyRule, ...] = (
    Rule("gcp-bucket-uniform", "Buckets know no access lists.", ("CIS 5.2", "CKV_GCP_29"), (BUCKET,), _uniform),
    Rule(
        "gcp-bucket-never-public",
        "Nothing can make a bucket public.",
        ("CIS 5.1", "CKV_GCP_114"),
        (BUCKET,),
        _never_public,
    ),
    Rule(
        "gcp-bucket-versioned",
        "Buckets keep versions, so that what is overwritten or deleted can be had back.",
        ("CKV_GCP_78",),
        (BUCKET,),
        _versioned,
    ),
    Rule(
        "gcp-bucket-encrypted",
        "Buckets are encrypted with the site's own key.",
        ("https://cloud.google.com/storage/docs/encryption/customer-managed-keys",),
        (BUCKET,),
        _encrypted_bucket,
    ),
    Rule(
        "gcp-bucket-soft-delete-chosen",
        "How long deleted objects can be had back, and are billed, is said.",
        ("https://cloud.google.com/storage/docs/soft-delete",),
        (BUCKET,),
        _soft_delete,
    ),
    Rule(
        "gcp-bucket-ends-uploads",
        "Buckets give up uploads that were never completed.",
        ("https://cloud.google.com/storage/docs/lifecycle#abort-mpu",),
        (BUCKET,),
        _ends_uploads,
    ),
    Rule(
        "gcp-nobody-in-particular",
        "Nothing is granted to everybody.",
        ("CIS 1.9", "CIS 5.1", "CIS 7.1", "CKV_GCP_28", "CKV_GCP_112"),
        GRANTS,
        _nobody_in_particular,
    ),
    Rule("gcp-no-primitive-roles", "Nobody gets owner, editor or viewer.", ("CKV_GCP_117",), GRANTS, _no_primitive),
    Rule(
        "gcp-no-impersonation",
        "Nobody may act as any service account of the project.",
        ("CIS 1.6", "CKV_GCP_41", "CKV_GCP_49"),
        PROJECT_GRANTS,
        _no_impersonation,
    ),
    Rule(
        "gcp-no-administrators",
        "Service accounts are no administrators.",
        ("CIS 1.5", "CKV_GCP_42"),
        PROJECT_GRANTS,
        _no_administrators,
    ),
    Rule(
        "gcp-no-default-account-granted",
        "Default service accounts get nothing.",
        ("CKV_GCP_46",),
        GRANTS,
        _no_default_account,
    ),
    Rule(
        "gcp-no-account-keys",
        "Service accounts have no keys.",
        ("CIS 1.4", "CKV2_GCP_3"),
        ("gcp:serviceaccount/key:Key",),
        _no_keys,
    ),
    Rule(
        "gcp-key-rotates",
        "Keys are rotated every 90 days, or more often.",
        ("CIS 1.10", "CKV_GCP_43"),
        (CRYPTO_KEY,),
        _rotates,
    ),
    Rule(
        "gcp-network-custom",
        "Networks have the subnets that they need, and no others.",
        ("CIS 3.1", "CIS 3.2", "CKV2_GCP_2"),
        (NETWORK,),
        _custom_mode,
    ),
    Companion(
        "gcp-network-denies",
        "A network lets nobody in whom no rule names, and says whom it turned away.",
        ("CKV2_GCP_18",),
        (NETWORK,),
        FIREWALL,
        "network",
        _denied,
    ),
    Rule("gcp-subnet-flow-logs", "Traffic is logged.", ("CIS 3.8", "CKV_GCP_26"), (SUBNETWORK,), _flow_logs),
    Rule(
        "gcp-subnet-google-access",
        "Google's services are reached without the internet.",
        ("CKV_GCP_74",),
        (SUBNETWORK,),
        _google_access,
    ),
    Rule(
        "gcp-no-public-ingress",
        "Nobody comes in but through Identity-Aware Proxy, and Google's health checks.",
        ("CIS 3.6", "CIS 3.7", "CKV_GCP_2", "CKV_GCP_3", "CKV_GCP_75", "CKV_GCP_88", "CKV_GCP_106"),
        (FIREWALL,),
        _no_ingress,
    ),
    Rule(
        "gcp-machine-no-external-address",
        "Machines have no external address.",
        ("CIS 4.9", "CKV_GCP_40"),
        TEMPLATES,
        _no_external_address,
    ),
    Rule("gcp-machine-shielded", "Machines are shielded.", ("CIS 4.8", "CKV_GCP_39"), TEMPLATES, _shielded),
    Rule(
        "gcp-machine-secure-boot",
        "Machines start only what is signed; those with GPUs cannot, as their images' NVIDIA modules are not.",
        ("CIS 4.8",),
        TEMPLATES,
        _secure_boot,
    ),
    Rule(
        "gcp-machine-own-account",
        "Machines have a service account of their own.",
        ("CIS 4.1", "CIS 4.2", "CKV_GCP_30", "CKV_GCP_31"),
        TEMPLATES,
        _own_account,
    ),
    Rule(
        "gcp-machine-login",
        "People log in by OS Login; project-wide keys and the serial port are closed.",
        ("CIS 4.3", "CIS 4.4", "CIS 4.5", "CKV_GCP_32", "CKV_GCP_34", "CKV_GCP_35"),
        TEMPLATES,
        _login,
    ),
    Rule(
        "gcp-machine-no-forwarding",
        "Machines forward nothing.",
        ("CIS 4.6", "CKV_GCP_36"),
        TEMPLATES,
        _no_forwarding,
    ),
    Rule(
        "gcp-disk-encrypted",
        "Disks are encrypted with the site's own key.",
        ("CIS 4.7", "CKV_GCP_37", "CKV_GCP_38"),
        TEMPLATES,
        _encrypted_disks,
    ),
    Rule(
        "gcp-logs-encrypted",
        "Logs are encrypted with the site's own key.",
        ("https://cloud.google.com/logging/docs/routing/managed-encryption-storage",),
        (LOG_BUCKET,),
        _encrypted_log_bucket,
    ),
    Rule(
        "gcp-logs-end",
        "Logs are kept for a time that is said.",
        ("CIS 2.3",),
        (LOG_BUCKET,),
        _kept_logs,
    ),
    Rule(
        "gcp-dataset-encrypted",
        "Tables are encrypted with the site's own key.",
        ("CIS 7.2", "CIS 7.3", "CKV_GCP_80", "CKV_GCP_81"),
        (DATASET,),
        _encrypted_dataset,
    ),
    Rule(
        "gcp-dataset-closed",
        "Tables are not for everybody.",
        ("CIS 7.1", "CKV_GCP_15"),
        (DATASET,),
        _closed_dataset,
    ),
    Rule("gcp-topic-encrypted", "Messages are encrypted.", ("CKV_GCP_83",), (TOPIC,), _encrypted_topic),
)
"""All rules for Google Cloud."""
