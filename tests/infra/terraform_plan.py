"""Recorded resources as the plan that Terraform would write, which checkov reads.

Names come from Pulumi's by rule, with the exceptions below. It serves policy checks alone: nothing here says that
Terraform would take such a plan.
"""

import collections
import json
import re
import subprocess
from pathlib import Path

CHECKOV = Path(__file__).parents[2] / ".tools/checkers/bin/checkov"

PREFIXES = {"aws": "aws", "gcp": "google"}
WITHOUT_MODULE = {("aws", "ec2")}
"""Modules whose name is not in Terraform's."""
MODULES = {("gcp", "projects"): "project", ("gcp", "serviceaccount"): "service_account"}
TYPES = {
    "gcp:serviceaccount/account:Account": "google_service_account",
    "gcp:projects/iAMMember:IAMMember": "google_project_iam_member",
    "gcp:projects/iAMCustomRole:IAMCustomRole": "google_project_iam_custom_role",
    "gcp:projects/service:Service": "google_project_service",
    "gcp:storage/bucketIAMMember:BucketIAMMember": "google_storage_bucket_iam_member",
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember": "google_kms_crypto_key_iam_member",
    "aws:ec2/eip:Eip": "aws_eip",
    # Checkov knows global templates alone; regional ones have the same arguments.
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate": "google_compute_instance_template",
    "aws:s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
}
"""Where the rule does not find the name."""

NAMES = {
    "rules": "rule", "lifecycleRules": "lifecycle_rule", "networkInterfaces": "network_interface", "disks": "disk",
    "allows": "allow", "denies": "deny", "accesses": "access", "accessConfigs": "access_config",
    "guestAccelerators": "guest_accelerator", "conditionAbsents": "condition_absent", "transitions": "transition",
    "routes": "route",
}  # fmt: skip
"""Blocks that Pulumi writes in the plural, and Terraform in the singular."""
MAPS = frozenset(
    {"tags", "labels", "userLabels", "metadata", "dimensions", "defaultTags", "metricTransformation", "parameters"}
)
"""What is a map in Terraform, too; all other objects are blocks, which are lists."""


def snake(name):
    return re.sub(r"(?<=[a-z0-9])([A-Z])|(?<=[A-Z])([A-Z])(?=[a-z])", r"_\1\2", name).lower()


def terraform_type(kind):
    """`aws_s3_bucket` of `aws:s3/bucket:Bucket`."""
    if kind in TYPES:
        return TYPES[kind]
    cloud, module, name = kind.split(":")
    module = module.split("/")[0]
    words = [PREFIXES[cloud]]
    if (cloud, module) not in WITHOUT_MODULE:
        words.append(MODULES.get((cloud, module), snake(module)))
    return "_".join([*words, snake(name)])


def values(properties):
    """Inputs as a plan has them."""
    return {NAMES.get(key, snake(key)): _value(key, each) for key, each in properties.items()}


def _value(key, value):
    if isinstance(value, dict):
        return value if key in MAPS else [values(value)]
    if isinstance(value, list):
        return [values(each) if isinstance(each, dict) else each for each in value]
    return value


def plan(resources):
    """The plan of recorded resources.

    Args:
        resources: of a whole recording that is no preview.
    """
    real = [each for each in resources if each.custom and not each.type.startswith("pulumi:")]
    addresses = {each.urn: f"{terraform_type(each.type)}.{_label(each.name)}" for each in real}
    assert len(set(addresses.values())) == len(real), collections.Counter(addresses.values()).most_common(3)
    planned, configured, changes = [], [], []
    for each in real:
        kind, address = terraform_type(each.type), addresses[each.urn]
        about = {"address": address, "mode": "managed", "type": kind, "name": _label(each.name)}
        found = values(each.inputs)
        planned.append({**about, "values": found})
        changes.append({**about, "change": {"actions": ["create"], "before": None, "after": found}})
        expressions = {
            NAMES.get(key, snake(key)): {
                "references": [
                    name for urn in urns if urn in addresses for name in (f"{addresses[urn]}.id", addresses[urn])
                ]
            }
            for key, urns in each.refers_to.items()
        }
        configured.append({**about, "expressions": expressions})
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": changes,
        "configuration": {"root_module": {"resources": configured}},
    }


def _label(name):
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def checkov(resources, folder):
    """What checkov finds in recorded resources.

    Args:
        resources: recorded.
        folder: an empty one.

    Returns:
        The ids that passed somewhere, and a list of (id, resource address, title) of what failed.
    """
    path = folder / "plan.json"
    path.write_text(json.dumps(plan(resources)))
    command = [
        CHECKOV,
        "--file",
        path,
        "--framework",
        "terraform_plan",
        "--output",
        "json",
        "--skip-download",
        "--compact",
    ]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LOG_LEVEL": "ERROR"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    (report,) = said if isinstance(said, list) else [said]
    assert report["summary"]["parsing_errors"] == 0, done.stderr
    passed = {each["check_id"] for each in report["results"]["passed_checks"]}
    failed = [(each["check_id"], each["resource"], each["check_name"]) for each in report["results"]["failed_checks"]]
    return passed, failed
