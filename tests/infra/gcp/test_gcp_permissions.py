"""What nodes ask Google's services for is allowed by what they are granted, and nothing is granted that none asks for.

The questions are those of the real code: every operation of the store, the sinks, the first boot and the hook, sent to
fake-gcs-server and to servers of Google's own messages. What each needs, and what the predefined roles hold, is written
down from Google's documents; none of them is asked here.
"""

import contextlib
import hashlib
import http.client
import json
import re
import subprocess
import sys
import time
import urllib.parse
from dataclasses import dataclass

import clouds
import gcp_site
import pytest
import servers
from gcp_site import PROJECT, RANDOM, REGION, found

from trainer.clouds import google as google_clients
from trainer.logs import cloud_logging, lines
from trainer.metrics import catalogue
from trainer.metrics.sinks import cloud_monitoring
from trainer.metrics.sinks.points import Point
from trainer.node import instance, user_data
from trainer.store.objects import gcs
from trainer.store.objects.base import Objects
from trainer.store.objects.places import place

BUCKET, GROUP = f"slipway-dev-artifacts-{RANDOM}", f"projects/{PROJECT}/regions/{REGION}/instanceGroupManagers/trainers"
MEMBER = f"serviceAccount:slipway-dev-{RANDOM[:5]}@{PROJECT}.iam.gserviceaccount.com"

LOG = "slipway-dev"

PREDEFINED = {
    "roles/storage.objectViewer": {"storage.objects.get", "storage.objects.list"},
    "roles/logging.logWriter": {"logging.logEntries.create", "logging.logEntries.route"},
    "roles/monitoring.metricWriter": {
        "monitoring.metricDescriptors.create",
        "monitoring.metricDescriptors.get",
        "monitoring.metricDescriptors.list",
        "monitoring.monitoredResourceDescriptors.get",
        "monitoring.monitoredResourceDescriptors.list",
        "monitoring.timeSeries.create",
    },
}
"""Of the predefined roles what is about objects, logs and metrics.

Source: https://cloud.google.com/iam/docs/roles-permissions (storage, logging, monitoring)
"""
OF_METHODS = {
    "WriteLogEntries": "logging.logEntries.create",
    "CreateMetricDescriptor": "monitoring.metricDescriptors.create",
    "CreateTimeSeries": "monitoring.timeSeries.create",
}
"""Sources: https://cloud.google.com/logging/docs/access-control, https://cloud.google.com/monitoring/access-control"""


@dataclass(frozen=True)
class Asked:
    """One permission that a call needs, and of what.

    Attributes:
        permission: its name.
        resource: the full name of the resource on which it is needed.
    """

    permission: str
    resource: str


@dataclass(frozen=True)
class Grant:
    """What a binding lets the nodes do.

    Attributes:
        name: of the binding.
        permissions: of its role.
        below: what the names of its resources begin with; a condition's prefix, a bucket or the project.
    """

    name: str
    permissions: frozenset[str]
    below: tuple[str, ...]

    def allows(self, asked):
        return asked.permission in self.permissions and asked.resource.startswith(self.below)


def grants(resources):
    """All that binds a role to the nodes, read from the resources as they were registered."""
    roles = {
        f"projects/{PROJECT}/roles/{each.inputs['roleId']}": set(each.inputs["permissions"])
        for each in found(resources, "IAMCustomRole").values()
    } | PREDEFINED
    made = []
    for kind in ("BucketIAMMember", "IAMMember"):
        for name, each in found(resources, kind).items():
            if each.inputs["member"] == MEMBER:
                made.append(Grant(name, frozenset(roles[each.inputs["role"]]), _below(kind, each.inputs)))
    return made


def _below(kind, inputs):
    if kind == "IAMMember":
        return (f"projects/{inputs['project']}",)
    bucket = f"projects/_/buckets/{inputs['bucket']}"
    condition = inputs.get("condition")
    if condition is None:
        return (bucket,)
    prefix = re.fullmatch(r'resource\.name\.startsWith\("([^"]+)"\)', condition["expression"]).group(1)
    assert prefix.startswith(f"{bucket}/objects/")
    return (prefix,)


class Storage:
    """A way to fake-gcs-server on which everything that is asked for is written down.

    Source of what is needed: https://cloud.google.com/storage/docs/access-control/iam-json
    """

    def __init__(self, server):
        self.server, self.asked, self.there = server, [], set()

    def answer(self, method, path, headers, body):
        parts = urllib.parse.urlsplit(path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        self.asked += self._needed(method, parts.path, query, body)
        status, answered, data = self._hand_on(method, path, headers, body)
        kept = {name: value for name, value in answered.items() if name.lower() not in OWN_HEADERS}
        return status, {name: value.replace(self.server, self.address) for name, value in kept.items()}, data

    def _needed(self, method, path, query, body):
        bucket, _, key = path.partition("/b/")[2].partition("/o")
        name, objects = f"projects/_/buckets/{bucket}", f"projects/_/buckets/{bucket}/objects/"
        key = urllib.parse.unquote(key.removeprefix("/"))
        if method == "GET":
            return [Asked("storage.objects.get", objects + key) if key else Asked("storage.objects.list", name)]
        if method == "DELETE":
            self.there.discard(key)
            return [Asked("storage.objects.delete", objects + key)]
        assert path.startswith("/upload/")
        if "upload_id" in query:  # of an upload that has begun
            return []
        key = query.get("name") or _described(body)["name"]
        replaces = key in self.there and query.get("ifGenerationMatch") != "0"
        self.there.add(key)
        verbs = ("create", "delete") if replaces else ("create",)
        return [Asked(f"storage.objects.{verb}", objects + key) for verb in verbs]

    def _hand_on(self, method, path, headers, body):
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.server).netloc, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()


OWN_HEADERS = {"connection", "content-length", "date", "transfer-encoding"}


def _described(body):
    """The JSON in a multipart upload, or the whole of the request that begins one in parts."""
    return json.loads(re.search(rb"\{.*?\}(?=\r\n|$)", body, re.DOTALL).group())


@pytest.fixture(scope="module")
def resources():
    found_here, outputs = gcp_site.record()
    assert (outputs["bucket"], outputs["store"], outputs["logName"]) == (BUCKET, f"gs://{BUCKET}/runs", LOG)
    return found_here


@pytest.fixture(scope="module")
def asked(resources, tmp_path_factory):
    """What the whole of a node's code asks for."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        for name in servers.NO_CLOUD:
            patch.delenv(name, raising=False)
        patch.setenv("NO_GCE_CHECK", "true")
        storage = Storage(stack.enter_context(servers.gcs()))
        storage.address = stack.enter_context(servers.answering(storage.answer))
        patch.setenv("STORAGE_EMULATOR_HOST", storage.server)
        patch.setenv("GOOGLE_CLOUD_PROJECT", clouds.PROJECT)
        servers.make_bucket(f"gs://{BUCKET}")
        folder = tmp_path_factory.mktemp("node")
        bundles = _upload_bundles(resources, folder)
        patch.setenv("STORAGE_EMULATOR_HOST", storage.address)
        patch.setattr(gcs, "PART_BYTES", 1 << 20)
        assert _use_store(folder) == {name for name in vars(Objects) if not name.startswith("_")}
        others = [*_use_sinks(stack, patch), *_boot_and_leave(stack, patch, folder, bundles)]
        read = {each.resource for each in storage.asked if each.permission == "storage.objects.get"}
        assert {f"projects/_/buckets/{BUCKET}/objects/{key}" for key in bundles} <= read
        return [*storage.asked, *others]


def _upload_bundles(resources, folder):
    """Objects as Pulumi uploads them; their keys."""
    objects, data = place(f"gs://{BUCKET}"), folder / "bundle.tar.gz"
    data.write_bytes(b"bundle")
    keys = [each.inputs["name"] for each in found(resources, "BucketObject").values()]
    for key in keys:
        objects.upload(key, data, hashlib.sha256(b"bundle").hexdigest())
    return keys


def _use_store(folder):
    """Do with a run's objects all that can be done; what that is."""
    objects = place(f"gs://{BUCKET}/runs")
    assert objects.uri.startswith("gs://")
    objects.check(write=True)
    objects.create("run/journal/1", b"first")
    objects.replace("run/status.json", b"{}")
    objects.replace("run/status.json", b"[]")
    large, sha256 = folder / "large", hashlib.sha256(bytes(3 << 20)).hexdigest()
    large.write_bytes(bytes(3 << 20))
    objects.upload("run/checkpoint", large, sha256)
    objects.upload("run/checkpoint", large, sha256)
    objects.download("run/checkpoint", folder / "back", sha256)
    assert objects.read("run/status.json") == b"[]"
    assert len(list(objects.keys("run/"))) == 3
    assert objects.names() == ["run"]
    objects.delete(["run/journal/1"])
    return {"check", "create", "replace", "upload", "download", "read", "keys", "names", "delete"}


def _use_sinks(stack, patch):
    service = stack.enter_context(clouds.google())
    clouds.google_environment(patch, service.address)
    run = lines.Run("run", "slipway/LostSales-v0", "ppo")
    logging = cloud_logging.CloudLogging(None, LOG, run.run_id)
    logging.send([lines.Line(run, time.time(), lines.Severity.INFO, "words", 1, {})])
    monitoring = cloud_monitoring.CloudMonitoring(None, run.run_id)
    monitoring.send([Point(catalogue.parse("rl_score"), time.time(), 1, 1.0, 1.0, 1.0, 1.0)])
    logging.close()
    monitoring.close()
    return [Asked(OF_METHODS[method], f"projects/{PROJECT}") for method in service.calls]


def _boot_and_leave(stack, patch, folder, bundles):
    """The first boot, which fetches and reports, and the hook, each as a machine runs it."""
    known = {
        "instance/attributes/created-by": GROUP,
        "instance/zone": f"projects/{gcp_site.NUMBER}/zones/{REGION}-a",
        "instance/name": "trainers-x7k2",
        "instance/id": "42",
        "project/project-id": PROJECT,
        "instance/service-accounts/default/?recursive=true": json.dumps({"email": MEMBER, "scopes": []}),
        "instance/service-accounts/default/token": json.dumps(
            {"access_token": "the-token", "expires_in": 3600, "token_type": "Bearer"}
        ),
    }

    def metadata(method, path, headers, body):
        value = known.get(path.removeprefix("/computeMetadata/v1/")) or known.get(
            path.removeprefix("/computeMetadata/v1/").split("?")[0]
        )
        kind = "application/json" if value and value.startswith("{") else "text/plain"
        said = {"Metadata-Flavor": "Google", "Content-Type": kind}
        return (404, said, b"") if value is None else (200, said, value.encode())

    questions = []

    def service(method, path, headers, body):
        questions.append((method, path))
        return 200, {"Content-Type": "application/json"}, b"{}"

    host = stack.enter_context(servers.answering(metadata)).removeprefix("http://")
    address = stack.enter_context(servers.answering(service))
    patch.setenv("GCE_METADATA_HOST", host)
    patch.setenv("GCE_METADATA_IP", host)
    patch.setenv(f"{google_clients.OVERRIDE}LOGGING", address)
    patch.setenv(f"{google_clients.OVERRIDE}COMPUTE", f"{address}/compute/v1/")
    program = [sys.executable, "-I", "-S", user_data.HERE / "instance.py"]
    for key in bundles:
        _run([*program, "fetch", f"gs://{BUCKET}/{key}", folder / "fetched"])
    _run([*program, "report", "gs", LOG, "failed", folder / "fetched"])
    _run([*program, "leave", "gs"])
    _run([sys.executable, "-c", "from trainer.node import hooks; hooks.HOOKS['scale-in-mig']()"])
    assert {"fetch", "report", "leave"} == set(instance.ACTIONS)
    needed = {
        ("POST", "/v2/entries:write"): Asked("logging.logEntries.create", f"projects/{PROJECT}"),
        ("POST", f"/compute/v1/{GROUP}/deleteInstances"): Asked("compute.instanceGroupManagers.update", GROUP),
    }
    return [needed[question] for question in questions]


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_all_that_nodes_ask_for_is_allowed(resources, asked):
    allowed = grants(resources)
    refused = [each for each in asked if not any(grant.allows(each) for grant in allowed)]
    assert refused == []
    assert len({each.permission for each in asked}) == 8


def test_no_grant_is_there_that_nobody_needs(resources, asked):
    allowed = grants(resources)
    for grant in allowed:
        others = [each for each in allowed if each is not grant]
        assert any(not any(other.allows(each) for other in others) for each in asked), grant.name


def test_no_permission_of_a_role_of_ours_is_there_that_nobody_needs(resources, asked):
    needed = {each.permission for each in asked}
    for role in found(resources, "IAMCustomRole").values():
        assert set(role.inputs["permissions"]) <= needed, role.name


@pytest.mark.parametrize(
    "question",
    [
        Asked("storage.objects.create", f"projects/_/buckets/{BUCKET}/objects/bundles/run/other.tar.gz"),
        Asked("storage.objects.delete", f"projects/_/buckets/{BUCKET}/objects/bundles/run/other.tar.gz"),
        Asked("storage.objects.get", "projects/_/buckets/another/objects/runs/run/status.json"),
        Asked("storage.objects.get", f"projects/_/buckets/slipway-dev-access-logs-{RANDOM}/objects/usage"),
        Asked("storage.buckets.update", f"projects/_/buckets/{BUCKET}"),
        Asked("storage.objects.setIamPolicy", f"projects/_/buckets/{BUCKET}/objects/runs/run/status.json"),
        Asked("cloudkms.cryptoKeyVersions.useToDecrypt", gcp_site.KEY_ID),
        Asked("logging.logEntries.list", f"projects/{PROJECT}"),
        Asked("compute.instances.create", f"projects/{PROJECT}/zones/{REGION}-a/instances/other"),
        Asked("iam.serviceAccounts.actAs", f"projects/{PROJECT}/serviceAccounts/other"),
    ],
)
def test_what_nodes_have_no_business_with_is_refused(resources, question):
    assert not any(grant.allows(question) for grant in grants(resources))


def test_a_machine_that_stays_may_not_touch_groups():
    resources, _ = gcp_site.record(whenDone="stay")
    assert not any("compute.instanceGroupManagers.update" in grant.permissions for grant in grants(resources))
    assert set(found(resources, "IAMCustomRole")) == {"write-role"}


def test_nodes_have_an_account_of_their_own_without_keys(resources):
    assert len(found(resources, "Account")) == 1
    assert not [each for each in resources if each.type == "gcp:serviceaccount/key:Key"]


def test_nobody_has_a_basic_role_or_is_everybody(resources):
    for each in resources:
        if "role" in each.inputs:
            assert each.inputs["role"] not in ("roles/owner", "roles/editor", "roles/viewer")
            assert each.inputs["member"] not in ("allUsers", "allAuthenticatedUsers")


def test_people_are_named_nowhere(resources):
    members = {each.inputs["member"] for each in resources if "member" in each.inputs}
    assert {member.partition(":")[0] for member in members} == {"serviceAccount", "group"}
    assert [member for member in members if member.startswith("group:")] == ["group:cloud-storage-analytics@google.com"]
