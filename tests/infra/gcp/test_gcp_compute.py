"""The machines: what they are, how they come and go, and what they do first."""

import hashlib
import re
import tarfile
from pathlib import Path

import gcp_site
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from gcp_site import KEY_ID, PROJECT, RANDOM, REGION, found

from trainer.bundle import verify

CPU = {"machines": "e2-standard-4"}
RUN = gcp_site.plan().runs[0].run_id


def only(resources, kind):
    [one] = found(resources, kind).values()
    return one.inputs


def template(**more):
    return only(gcp_site.record(**more)[0], "RegionInstanceTemplate")


def test_a_machine_has_no_address_outside_and_says_who_it_is():
    inputs = template()
    assert inputs["networkInterfaces"] == [{"subnetwork": "slipway-dev-subnet-id", "stackType": "IPV4_ONLY"}]
    assert inputs["canIpForward"] is False
    assert inputs["serviceAccount"]["email"] == f"slipway-dev-{RANDOM[:5]}@{PROJECT}.iam.gserviceaccount.com"


def test_people_come_by_os_login_alone():
    metadata = template()["metadata"]
    assert metadata["enable-oslogin"] == metadata["block-project-ssh-keys"] == "TRUE"
    assert metadata["serial-port-enable"] == "FALSE"


@pytest.mark.parametrize(("more", "secure_boot"), [({}, False), (CPU, True)], ids=["gpu", "cpu"])
def test_a_machine_is_shielded_and_boots_securely_where_no_module_of_nvidias_would_be_kept_out(more, secure_boot):
    assert template(**more)["shieldedInstanceConfig"] == {
        "enableSecureBoot": secure_boot,
        "enableVtpm": True,
        "enableIntegrityMonitoring": True,
    }


@pytest.mark.parametrize(
    ("more", "image"),
    [
        ({}, "projects/deeplearning-platform-release/global/images/family/common-cu129-ubuntu-2204-nvidia-580"),
        (CPU, "projects/debian-cloud/global/images/family/debian-12"),
        ({"image": "projects/mine/global/images/node-3"}, "projects/mine/global/images/node-3"),
    ],
    ids=["gpu", "cpu", "given"],
)
def test_a_disk_is_encrypted_as_large_as_asked_for_and_goes_with_its_machine(more, image):
    [disk] = template(**more, diskGib="200")["disks"]
    assert disk["diskEncryptionKey"] == {"kmsKeySelfLink": KEY_ID}
    assert (disk["sourceImage"], disk["diskSizeGb"], disk["boot"], disk["autoDelete"]) == (image, 200, True, True)


@pytest.mark.parametrize(
    ("machine", "kind", "accelerators"),
    [
        ("g2-standard-4", "g2-standard-4", None),
        ("n1-standard-4+nvidia-tesla-t4", "n1-standard-4", [{"type": "nvidia-tesla-t4", "count": 1}]),
        ("e2-standard-4", "e2-standard-4", None),
    ],
)
def test_an_accelerator_is_asked_for_where_it_is_no_part_of_the_machine_type(machine, kind, accelerators):
    inputs = template(machines=machine)
    assert (inputs["machineType"], inputs.get("guestAccelerators")) == (kind, accelerators)


@pytest.mark.parametrize(
    ("more", "spot", "maintenance"),
    [({}, True, "TERMINATE"), ({"spot": "false"}, False, "TERMINATE"), (CPU, True, "TERMINATE")],
    ids=["spot", "gpu", "cpu-spot"],
)
def test_what_cannot_move_ends_with_its_host(more, spot, maintenance):
    scheduling = template(**more)["scheduling"]
    assert scheduling["onHostMaintenance"] == maintenance
    assert scheduling["provisioningModel"] == ("SPOT" if spot else "STANDARD")
    assert (scheduling["preemptible"], scheduling["automaticRestart"]) == (spot, not spot)
    assert scheduling.get("instanceTerminationAction") == ("DELETE" if spot else None)


def test_what_can_move_does():
    assert template(**CPU, spot="false")["scheduling"]["onHostMaintenance"] == "MIGRATE"


def test_each_run_has_a_group_of_one_whose_size_is_its_own_from_then_on():
    resources, outputs = gcp_site.record(seeds="2", **CPU)
    groups = found(resources, "RegionInstanceGroupManager")
    assert len(groups) == len(outputs["runs"]) == len(set(outputs["runs"])) == 2
    assert set(groups) == set(outputs["runs"])
    for run_id, group in groups.items():
        assert outputs["groups"][run_id] == f"slipway-dev-{run_id}-{RANDOM}"
        assert group.inputs["targetSize"] == 1
        assert group.ignore_changes == ["targetSize"]
        assert group.inputs["region"] == REGION
        [version] = group.inputs["versions"]
        assert version["instanceTemplate"].endswith(f"/instanceTemplates/slipway-dev-{run_id}-{RANDOM}")


def test_another_template_is_another_group_and_the_old_one_goes_first():
    resources, _ = gcp_site.record()
    [group] = found(resources, "RegionInstanceGroupManager").values()
    assert group.replace_on_changes == ["versions"]
    assert group.delete_before_replace
    assert not {"name", "namePrefix"} & set(template())  # a fixed one would stand in its successor's way


def test_a_machine_that_is_lost_or_silent_is_replaced_wherever_there_is_one():
    resources, _ = gcp_site.record()
    group, health = only(resources, "RegionInstanceGroupManager"), only(resources, "HealthCheck")
    assert group["distributionPolicyTargetShape"] == "ANY"
    assert group["distributionPolicyZones"] == [f"{REGION}-{letter}" for letter in "abc"]
    assert group["updatePolicy"]["instanceRedistributionType"] == "NONE"
    assert group["autoHealingPolicies"] == {"healthCheck": "slipway-dev-alive-id", "initialDelaySec": 300}
    assert health["tcpHealthCheck"] == {"port": 22, "response": "SSH-2.0"}


def test_machines_without_gpus_are_sought_in_all_zones():
    assert "distributionPolicyZones" not in only(gcp_site.record(**CPU)[0], "RegionInstanceGroupManager")


def test_whoever_boots_finds_its_bundle_its_rights_and_its_way():
    resources, _ = gcp_site.record()
    [group] = found(resources, "RegionInstanceGroupManager").values()
    before = {urn.rsplit("::", 1)[-1].removeprefix("slipway-dev-") for urn in group.dependencies}
    assert {f"{RUN}-bundle", "nodes-read", "nodes-write", "nodes-log", "nodes-measure", "nodes-leave"} <= before
    assert {"nat", "web", "dns", "sink", "kept-elsewhere", "key-compute"} <= before


def test_a_bundle_says_where_it_trains_and_lies_where_the_script_looks():
    resources, outputs = gcp_site.record(diskGib="100")
    archive = found(resources, "BucketObject")[f"{RUN}-bundle"].inputs
    path = Path(archive["source"]["path"])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert archive["name"] == f"bundles/{RUN}/{sha256}.tar.gz"
    assert verify.verify(path, None)["gpu"] is True
    with tarfile.open(path) as opened:
        run_file = yaml.safe_load(opened.extractfile("run.yaml"))
    assert run_file["store"] == outputs["store"]
    assert run_file["preemption"]["watch"] == "compute-engine"
    assert (
        run_file["sinks"]["cloud_monitoring"] | {"enabled": True, "project": PROJECT}
        == run_file["sinks"]["cloud_monitoring"]
    )
    logging = run_file["sinks"]["logs"]["cloud_logging"]
    assert (logging["enabled"], logging["project"], logging["log_name"]) == (True, PROJECT, outputs["logName"])
    script = template(diskGib="100")["metadata"]["startup-script"]
    assert f"bundle_uri=gs://{outputs['bucket']}/{archive['name']}" in script
    assert f"bundle_sha256={sha256}" in script
    assert "cloud report " in script
    assert outputs["logName"] in script


@pytest.mark.parametrize(("when_done", "hook"), [("scale-in", "scale-in-mig"), ("stay", "nothing")])
def test_a_machine_does_what_was_asked_for_when_its_run_has_ended_or_its_first_boot_failed(when_done, hook):
    script = template(whenDone=when_done)["metadata"]["startup-script"]
    assert re.search(r'"trainer_when_done": "([a-z-]+)"', script).group(1) == hook
    assert ("cloud leave" in script) == (when_done == "scale-in")


def test_a_signed_bundle_is_checked_by_the_public_key(tmp_path):
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    resources, _ = gcp_site.record(signingKey=str(path))
    objects = found(resources, "BucketObject")
    assert {name.removeprefix(RUN) for name in objects} == {"-bundle", "-bundle.sha256", "-bundle.sha256.sig"}
    stem = objects[f"{RUN}-bundle"].inputs["name"]
    assert objects[f"{RUN}-bundle.sha256.sig"].inputs["name"] == f"{stem}.sha256.sig"
    script = template(signingKey=str(path))["metadata"]["startup-script"]
    assert "BEGIN PUBLIC KEY" in script
    assert "PRIVATE" not in script


def test_without_a_key_there_is_no_signature():
    objects = found(gcp_site.record()[0], "BucketObject")
    assert {name.removeprefix(RUN) for name in objects} == {"-bundle", "-bundle.sha256"}


@pytest.mark.parametrize(
    ("run_id", "name"),
    [
        ("cartpole-ppo-122a90", "cartpole-ppo-122a90"),
        ("LunarLander_v3.sac-0a1b2c", "lunarlander-v3-sac-0a1b-df3b7d"),
        ("a-long-name-of-a-run-that-fills-up-more", "a-long-name-of-a-run-th-2cd0d8"),
    ],
)
def test_runs_names_do_for_resources(run_id, name):
    made = short(run_id)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", made)
    assert made[:20] == name[:20]


def short(run_id):
    from infra.gcp import compute

    return compute.short(run_id)


def test_names_that_are_cut_stay_apart():
    assert short("x" * 40) != short("x" * 41)
    assert short("A-1") != short("a-1")


def test_the_longest_names_are_allowed():
    resources, _ = gcp_site.record(stack="a-name-of-16-chr", run="lost-sales-ppo", **CPU)
    for each in resources:
        if each.type.startswith(("gcp:compute", "gcp:storage/bucket:")):  # which have 63 characters
            assert len(each.name) + len(f"-{RANDOM}") <= 63, each.name
    [account] = [each.inputs["accountId"] for each in resources if each.kind == "Account"]
    assert 6 <= len(account) <= 30
    [group] = [each.inputs for each in resources if each.kind == "RegionInstanceGroupManager"]
    assert len(group["baseInstanceName"]) <= 58
