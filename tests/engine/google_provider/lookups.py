"""Data sources: what a program may ask the imitated cloud. Others are refused."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from google_provider import places, sdk
from google_provider.checks import fits
from google_provider.cloud import Cloud, Refused, now
from google_provider.kind import Refusal
from google_provider.kinds import KINDS
from google_provider.kinds.common import ACCOUNT, BUCKET, COMPUTE, KEY, KEY_RING, NETWORK, SUBNETWORK
from google_provider.undescribed import ACCOUNT as AWS_ACCOUNT

Inputs = Mapping[str, Any]

IMAGES: Mapping[str, str] = {
    "debian-cloud": r"debian-1[1-3](-arm64)?",
    "ubuntu-os-cloud": r"ubuntu(-minimal)?-(2204|2404)-lts(-amd64|-arm64)?",
    "cos-cloud": r"cos-(stable|\d+-lts)",
    "deeplearning-platform-release": r"(common|pytorch|tf)-(\d+-\d+-)?(cpu|cu\d{3}|gpu)(-[a-z0-9]+)*",
}
"""Families of images by project (https://cloud.google.com/compute/docs/images/os-details and
https://cloud.google.com/deep-learning-vm/docs/images)."""


def refusals(token: str, inputs: Inputs) -> list[Refusal]:
    """What is wrong with what a data source is given.

    Raises:
        sdk.UnknownToken: the SDK has no such function.
    """
    taken = sdk.function(token).inputs
    found = []
    for name, value in inputs.items():
        if name not in taken:
            found.append((name, f"there is no such property; there are {', '.join(taken)}"))
        elif value is not None and not fits(taken[name], value):
            found.append((name, f"{value!r} is no {taken[name]}"))
    return found


def service(token: str) -> str:
    """The service that a data source asks; empty if it is known without one."""
    module, name = token.split(":")[1].split("/")
    known = {"getProject": "cloudresourcemanager", "getClientConfig": "", "getIAMPolicy": ""}
    modules = {"kms": "cloudkms", "serviceaccount": "iam"}
    short = known.get(name, modules.get(module, module)) if token.startswith("gcp:") else ""
    return f"{short}.googleapis.com" if short else ""


def _project(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
    id_ = inputs.get("projectId") or cloud.data["project"]
    if id_ != cloud.data["project"]:
        raise Refused(f"404: there is no project {id_}")
    number = cloud.data["number"]
    return {"projectId": id_, "number": number, "name": id_, "id": f"projects/{id_}", "labels": {},
            "effectiveLabels": {}, "pulumiLabels": {}, "autoCreateNetwork": False, "folderId": "",
            "billingAccount": "012345-6789AB-CDEF01", "orgId": "", "deletionPolicy": "PREVENT", "tags": {}}  # fmt: skip


def _client(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
    return {"id": "client", "project": cloud.data["project"], "region": cloud.region, "zone": cloud.zone,
            "accessToken": "none", "defaultLabels": {}}  # fmt: skip


def _zones(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
    region = inputs.get("region") or cloud.region
    if region not in places.REGIONS:
        raise Refused(f"404: there is no region {region}")
    project = cloud.data["project"]
    return {"id": f"projects/{project}/regions/{region}", "names": places.zones(region), "project": project,
            "region": region, "status": inputs.get("status")}  # fmt: skip


def _regions(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
    project = cloud.data["project"]
    return {"id": f"projects/{project}", "names": sorted(places.REGIONS), "project": project, "status": "UP"}


def _image(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
    project, family = inputs.get("project") or cloud.data["project"], inputs.get("family")
    name = inputs.get("name") or f"{family}-v20260101"
    if not re.fullmatch(IMAGES.get(project, r"(?!)"), family or name.rpartition("-v")[0]):
        raise Refused(f"404: there is no image {family or name} in {project}")
    link = f"projects/{project}/global/images/{name}"
    return {"id": link, "selfLink": COMPUTE + link, "name": name, "family": family or "", "project": project,
            "archiveSizeBytes": 10**10, "creationTimestamp": now(), "description": "", "diskSizeGb": 50,
            "imageEncryptionKeySha256": "", "imageId": str(int(hashlib.sha256(link.encode()).hexdigest()[:15], 16)),
            "labelFingerprint": "", "labels": {}, "licenses": [], "sourceDisk": "", "sourceDiskEncryptionKeySha256": "",
            "sourceDiskId": "", "sourceImageId": "", "status": "READY", "mostRecent": bool(inputs.get("mostRecent")),
            "filter": inputs.get("filter") or ""}  # fmt: skip


def _agent(address: str, key: str = "emailAddress") -> Callable[[Cloud, Inputs], dict[str, Any]]:
    """A service agent, which is made when it is asked for."""

    def find(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
        agent = cloud.facts({}, 0).fill(address)
        cloud.bring(agent)
        project = cloud.data["project"]
        return {"id": agent, key: agent, "email": agent, "member": f"serviceAccount:{agent}", "project": project}

    return find


def _logging_agents(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
    facts = cloud.facts({}, 0)
    agent = facts.fill("cmek-p{number}@gcp-sa-logging.iam.gserviceaccount.com")
    cloud.bring(agent)
    name = facts.fill("projects/{project}/cmekSettings")
    return {"id": name, "name": name, "kmsKeyName": "", "kmsKeyVersionName": "", "project": cloud.data["project"],
            "serviceAccountId": agent}  # fmt: skip


def _default_account(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
    facts = cloud.facts({}, 0)
    email = facts.fill("{number}-compute@developer.gserviceaccount.com")
    name = facts.fill("projects/{project}/serviceAccounts/") + email
    return {"id": name, "name": name, "email": email, "member": f"serviceAccount:{email}", "displayName": "default",
            "project": cloud.data["project"], "uniqueId": f"1{cloud.data['number']:0>20}"}  # fmt: skip


def _existing(token: str, name: str) -> Callable[[Cloud, Inputs], dict[str, Any]]:
    """A resource that is there, by a text made of what is asked."""

    def find(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
        wanted = cloud.facts(inputs, 0).fill(name)
        found = cloud.find((token,), wanted)
        if found is None:
            raise Refused(f"404: there is no {KINDS[token].short} {wanted}")
        return {"id": found[1], **found[2]["state"]}

    return find


def _policy(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
    """https://cloud.google.com/iam/docs/reference/rest/v1/Policy."""
    bindings = sorted(inputs.get("bindings") or (), key=lambda each: str(each["role"]))
    document = {"bindings": [{k: v for k, v in each.items() if v is not None} for each in bindings]}
    text = json.dumps(document, separators=(",", ":"))
    return {"id": str(int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)), "policyData": text, **inputs}


def _aws_policy(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html."""
    statements = []
    for each in inputs.get("statements") or ():
        statement: dict[str, Any] = {"Effect": each.get("effect") or "Allow"}
        for name in ("sid", "actions", "notActions", "resources", "notResources"):
            if each.get(name):
                statement[name[0].upper() + name[1:].removesuffix("s")] = each[name]
        for kind in ("principals", "notPrincipals"):
            for one in each.get(kind) or ():
                named = statement.setdefault(kind[0].upper() + kind[1:-1], {})
                named.setdefault(one["type"], []).extend(one["identifiers"])
        for one in each.get("conditions") or ():
            statement.setdefault("Condition", {}).setdefault(one["test"], {})[one["variable"]] = one["values"]
        statements.append(statement)
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return {"id": hashlib.sha256(text.encode()).hexdigest()[:10], "json": text, "minifiedJson": text, **inputs}


def _aws_zones(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
    region = cloud.region
    return {"id": region, "names": [f"{region}{letter}" for letter in "abc"], "region": region, "groupNames": [region],
            "zoneIds": [f"{region}-az{number}" for number in (1, 2, 3)], **inputs}  # fmt: skip


def _aws_offerings(cloud: Cloud, inputs: Inputs) -> dict[str, Any]:
    """Every type is to be had everywhere."""
    asked = [value for each in inputs.get("filters") or () for value in each["values"]]
    places_of = [(each, f"{cloud.region}{letter}") for each in asked for letter in "abc"]
    return {"id": cloud.region, "instanceTypes": [each for each, _ in places_of], "region": cloud.region,
            "locations": [zone for _, zone in places_of], "locationTypes": ["availability-zone"] * len(places_of),
            **inputs}  # fmt: skip


FUNCTIONS: Mapping[str, Callable[[Cloud, Inputs], dict[str, Any]]] = {
    "gcp:organizations/getProject:getProject": _project,
    "gcp:organizations/getClientConfig:getClientConfig": _client,
    "gcp:organizations/getIAMPolicy:getIAMPolicy": _policy,
    "gcp:compute/getZones:getZones": _zones,
    "gcp:compute/getRegions:getRegions": _regions,
    "gcp:compute/getImage:getImage": _image,
    "gcp:compute/getDefaultServiceAccount:getDefaultServiceAccount": _default_account,
    "gcp:compute/getNetwork:getNetwork": _existing(NETWORK, "projects/{project}/global/networks/{name}"),
    "gcp:compute/getSubnetwork:getSubnetwork": _existing(
        SUBNETWORK, "projects/{project}/regions/{region}/subnetworks/{name}"
    ),
    "gcp:storage/getBucket:getBucket": _existing(BUCKET, "{name}"),
    "gcp:kms/getKMSKeyRing:getKMSKeyRing": _existing(
        KEY_RING, "projects/{project}/locations/{location}/keyRings/{name}"
    ),
    "gcp:kms/getKMSCryptoKey:getKMSCryptoKey": _existing(KEY, "{keyRing}/cryptoKeys/{name}"),
    "gcp:serviceaccount/getAccount:getAccount": _existing(ACCOUNT, "{accountId}"),
    "gcp:storage/getProjectServiceAccount:getProjectServiceAccount": _agent(
        "service-{number}@gs-project-accounts.iam.gserviceaccount.com"
    ),
    "gcp:bigquery/getDefaultServiceAccount:getDefaultServiceAccount": _agent(
        "bq-{number}@bigquery-encryption.iam.gserviceaccount.com"
    ),
    "gcp:logging/getProjectCmekSettings:getProjectCmekSettings": _logging_agents,
    "aws:index/getCallerIdentity:getCallerIdentity": lambda cloud, inputs: {
        "id": AWS_ACCOUNT, "accountId": AWS_ACCOUNT, "arn": f"arn:aws:iam::{AWS_ACCOUNT}:user/test", "userId": "test",
    },
    "aws:index/getRegion:getRegion": lambda cloud, inputs: {
        "id": cloud.region, "name": cloud.region, "region": cloud.region, "description": cloud.region,
        "endpoint": f"ec2.{cloud.region}.amazonaws.com",
    },
    "aws:index/getPartition:getPartition": lambda cloud, inputs: {
        "id": "aws", "partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws",
    },
    "aws:index/getAvailabilityZones:getAvailabilityZones": _aws_zones,
    "aws:iam/getPolicyDocument:getPolicyDocument": _aws_policy,
    "aws:ec2/getAmi:getAmi": lambda cloud, inputs: {
        "id": "ami-0123456789abcdef0", "imageId": "ami-0123456789abcdef0", "architecture": "x86_64",
        "rootDeviceName": "/dev/sda1", **inputs,
    },
    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": _aws_offerings,
    "aws:ssm/getParameter:getParameter": lambda cloud, inputs: {
        "id": inputs["name"], "value": "ami-0123456789abcdef0", "type": "String", "version": 1, **inputs,
    },
}  # fmt: skip
"""Data sources by token: given the cloud and what was asked."""
