"""The machines of a site in AWS, as a program asks for them; that AWS takes them is for `tests/engine` to show."""

import base64
import re
import subprocess
import sys
from pathlib import Path

import aws_site
import pytest
from aws_site import record_site, seen
from recording import UNKNOWN

from infra import bundle
from infra.aws import alarms, compute
from infra.names import DIGEST, shortened
from infra.settings import BY_OPTION
from trainer.errors import BadInput
from trainer.metrics import alerts, catalogue
from trainer.node.user_data import MAXIMUM_BYTES

SHELLCHECK = Path(sys.executable).with_name("shellcheck")
CPU = {"machines": "c7i.large"}
LONGEST_STACK = "a-stack-of-16-ab"
AUTONAME = len("-0123456")
LONGEST = {
    "LaunchTemplate": 128,  # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html
    "Group": 255,  # https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CreateAutoScalingGroup.html
    "MetricAlarm": 255,  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    "Policy": 255,  # https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutScalingPolicy.html
}
"""Characters of names, by kind."""


@pytest.fixture(scope="module")
def site():
    return seen()


@pytest.fixture(scope="module")
def previewed():
    return seen(preview=True)


def script(site, number=0):
    return base64.b64decode(site.all("LaunchTemplate")[number].inputs["userData"]).decode()


def longest(tmp_path, **more):
    """A site whose names are as long as they may be, with bundles that are signed."""
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
    (tmp_path / "run.yaml").write_text(f"env: slipway/CartPole-v1\nname: {'a' * 99}b\n")
    return record_site(
        stack=LONGEST_STACK, run=str(tmp_path / "run.yaml"), signingKey=str(key), email="ops@example.com", **more
    )


@pytest.mark.parametrize("which", ["site", "previewed"])
def test_a_machine_has_no_address_no_old_metadata_service_and_an_encrypted_disk(which, request):
    made = request.getfixturevalue(which).one("LaunchTemplate").inputs
    assert made["metadataOptions"]["httpTokens"] == "required"
    assert made["metadataOptions"]["httpPutResponseHopLimit"] == 1
    (interface,) = made["networkInterfaces"]
    assert interface["associatePublicIpAddress"] == "false"
    assert len(interface["securityGroups"]) == 1
    (disk,) = made["blockDeviceMappings"]
    assert disk["deviceName"] == "/dev/sda1"
    assert disk["ebs"]["encrypted"] == "true"
    assert disk["ebs"]["deleteOnTermination"] == "true"
    assert (disk["ebs"]["volumeType"], disk["ebs"]["volumeSize"]) == ("gp3", 100)
    key = request.getfixturevalue(which).one("BucketServerSideEncryptionConfiguration", "runs")
    assert disk["ebs"]["kmsKeyId"] == key.inputs["rules"][0]["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"]
    assert made["monitoring"] == {"enabled": True}
    assert "keyName" not in made
    assert "instanceMarketOptions" not in made  # the group decides


def test_disks_have_the_size_that_is_asked_for():
    disk = record_site(preview=True, diskGib="250").one("LaunchTemplate").inputs["blockDeviceMappings"][0]
    assert disk["ebs"]["volumeSize"] == 250


@pytest.mark.parametrize("which", ["site", "previewed"])
def test_all_that_a_machine_consists_of_is_tagged(which, request):
    site = request.getfixturevalue(which)
    expected = {**aws_site.planned().tags, "slipway-run": aws_site.planned().runs[0].run_id}
    specifications = site.one("LaunchTemplate").inputs["tagSpecifications"]
    assert {each["resourceType"] for each in specifications} == {"instance", "volume", "network-interface"}
    for each in specifications:
        assert expected.items() <= each["tags"].items()
    tags = site.one("Group").inputs["tags"]
    assert all(each["propagateAtLaunch"] for each in tags)
    assert expected.items() <= {each["key"]: each["value"] for each in tags}.items()


@pytest.mark.parametrize("which", ["site", "previewed"])
def test_a_group_of_one_machine_that_up_does_not_bring_back(which, request):
    group = request.getfixturevalue(which).one("Group")
    assert (group.inputs["minSize"], group.inputs["maxSize"], group.inputs["desiredCapacity"]) == (0, 1, 1)
    assert group.ignore_changes == ["desiredCapacity"]
    assert group.inputs["waitForCapacityTimeout"] == "0"
    assert "maxInstanceLifetime" not in group.inputs
    assert "forceDelete" not in group.inputs  # its machines must be gone before their subnets can
    watched = {
        query["metric"]["metric_name"]
        for alarm in alarms.alarms(aws_site.planned(), {aws_site.planned().runs[0].run_id: "group"})
        for query in alarm.arguments.get("metric_queries", [])
        if query.get("metric", {}).get("namespace") == alarms.AUTO_SCALING
    }
    assert watched
    assert watched <= set(group.inputs["enabledMetrics"])
    assert group.inputs["metricsGranularity"] == "1Minute"


def test_a_machine_starts_when_all_that_it_needs_is_there(site):
    """Its bundle by a dependency; the rest by outputs that are there when it is ready."""
    needed = site.all("BucketObjectv2")
    group = site.one("Group")
    assert len(needed) == 2
    assert all(any(urn.endswith(f"::{each.name}") for urn in group.dependencies) for each in needed)
    role = site.one("ServiceLinkedRole")
    assert group.inputs["serviceLinkedRoleArn"].endswith(f"_{role.inputs['customSuffix']}")


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize(("spot", "percent"), [("true", 0), ("false", 100)])
def test_spot_or_on_demand(preview, spot, percent):
    group = record_site(preview=preview, spot=spot, machines="c7i.large,m7i.large").one("Group").inputs
    policy = group["mixedInstancesPolicy"]
    assert policy["instancesDistribution"]["onDemandPercentageAboveBaseCapacity"] == percent
    assert policy["instancesDistribution"]["onDemandBaseCapacity"] == 0
    assert policy["instancesDistribution"]["spotAllocationStrategy"] == "price-capacity-optimized"
    assert group["capacityRebalance"] is (spot == "true")
    assert [each["instanceType"] for each in policy["launchTemplate"]["overrides"]] == ["c7i.large", "m7i.large"]


def test_a_group_takes_the_templates_newest_version(site, previewed):
    def version(made):
        policy = made.one("Group").inputs["mixedInstancesPolicy"]
        return policy["launchTemplate"]["launchTemplateSpecification"]["version"]

    assert version(site) == "1"
    assert version(previewed) is UNKNOWN


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize(
    ("given", "image", "device"),
    [
        ({}, f"resolve:ssm:{compute.GPU_IMAGE}", "/dev/sda1"),
        (CPU, f"resolve:ssm:{compute.CPU_IMAGE}", "/dev/sda1"),
        (CPU | {"image": "ami-0123456789abcdef0"}, "ami-0123456789abcdef0", "/dev/xvda"),
        (CPU | {"image": "/my/image"}, "resolve:ssm:/my/image", "/dev/xvda"),
        (CPU | {"image": "resolve:ssm:/my/image"}, "resolve:ssm:/my/image", "/dev/xvda"),
    ],
)
def test_the_image_is_the_current_one_or_what_is_asked_for(preview, given, image, device):
    template = record_site(preview=preview, **given).one("LaunchTemplate").inputs
    assert template["imageId"] == image
    assert template["blockDeviceMappings"][0]["deviceName"] == device


def test_an_image_that_does_not_fit_on_the_disk_is_refused_in_the_preview():
    with pytest.raises(BadInput) as caught:
        record_site(preview=True, image="ami-0123456789abcdef0", diskGib="50")
    assert (caught.value.field, caught.value.value) == ("slipway:diskGib", 50)
    assert "at least 60" in caught.value.allowed


def test_images_are_looked_up_as_settings_name_them():
    for parameter in (compute.GPU_IMAGE, compute.CPU_IMAGE):
        assert BY_OPTION["image"].parse(parameter) == parameter


def test_a_bundle_lies_where_the_first_boot_looks_for_it_encrypted_by_the_sites_key():
    site = record_site()  # its own, as the next one of this process replaces the files
    archive, checksum = sorted(site.all("BucketObjectv2"), key=lambda each: len(each.name))
    run_id = aws_site.planned().runs[0].run_id
    assert re.fullmatch(rf"bundles/{run_id}/[0-9a-f]{{64}}\.tar\.gz", archive.inputs["key"])
    assert checksum.inputs["key"] == f"{archive.inputs['key']}.sha256"
    assert f"s3://{archive.inputs['bucket']}/{archive.inputs['key']}" in script(site)
    for each in (archive, checksum):
        assert each.inputs["serverSideEncryption"] == "aws:kms"
        assert each.inputs["kmsKeyId"].startswith("arn:aws:kms:")
    assert Path(checksum.inputs["source"]["path"]).read_text().split()[0] in archive.inputs["key"]
    subprocess.run(["tar", "-tzf", archive.inputs["source"]["path"]], check=True, capture_output=True)


def test_a_preview_makes_no_bundle_of_what_is_not_known(previewed, monkeypatch):
    assert {each.inputs["key"] for each in previewed.all("BucketObjectv2")} == {UNKNOWN}
    assert previewed.one("LaunchTemplate").inputs["userData"] is UNKNOWN
    monkeypatch.setattr(bundle, "build", None)
    record_site(preview=True)


def test_a_run_file_is_told_where_it_trains_and_alarms_get_what_they_need(tmp_path):
    sinks = "sinks: {cloudwatch: {metrics: [rl_policy_loss], interval_seconds: 3600}}\n"
    (tmp_path / "run.yaml").write_text(f"env: slipway/CartPole-v1\n{sinks}")
    site = aws_site.planned(run=str(tmp_path / "run.yaml"))
    place = compute.place(site, site.runs[0], "s3://bucket/runs", "/slipway/dev/nodes")
    assert place["store"] == "s3://bucket/runs"
    assert place["sinks.cloudwatch.namespace"] == "Slipway/dev"
    assert place["sinks.logs.cloudwatch.group"] == "/slipway/dev/nodes"
    sent = catalogue.chosen(place["sinks.cloudwatch.metrics"])
    assert set(sent) == {*catalogue.ESSENTIAL, "rl_policy_loss"}
    assert place["sinks.cloudwatch.interval_seconds"] == alarms.LONGEST_INTERVAL_SECONDS


@pytest.mark.parametrize(
    ("when_done", "hook", "leaves"), [("scale-in", "scale-in-asg", True), ("stay", "nothing", False)]
)
def test_what_becomes_of_a_machine_whose_run_has_ended_or_never_began(when_done, hook, leaves):
    text = script(seen(whenDone=when_done, **CPU))
    assert f'"trainer_when_done": "{hook}"' in text
    assert (f"limit_seconds={compute.BOOT_MINUTES * 60}" in text) == leaves


def test_a_first_boot_is_given_up_before_the_machine_counts_as_silent():
    assert alerts.BY_NAME["NodeSilent"].signal.over_seconds > compute.BOOT_MINUTES * 60


def test_the_longest_names_do(tmp_path):
    site = longest(tmp_path, seeds="2", analytics="true")
    for kind, most in LONGEST.items():
        made = [each.name for each in site.all(kind) if each.type.split(":")[1] != "iam/policy"]
        assert made
        assert max(len(name) for name in made) + AUTONAME <= most
        assert len(set(made)) == len(made)


def test_the_longest_first_boot_fits_and_has_no_mistake_and_no_secret(tmp_path):
    site = longest(tmp_path)
    text = script(site)
    assert len(text.encode()) < MAXIMUM_BYTES
    private = "".join((tmp_path / "key.pem").read_text().splitlines()[1:-1])
    public = bundle.public_key(aws_site.planned(signingKey=str(tmp_path / "key.pem")))
    assert public.splitlines()[1] in text
    assert private not in text
    assert "PRIVATE KEY" not in text
    assert "ops@example.com" not in text
    assert len(site.all("BucketObjectv2")) == 3
    if not SHELLCHECK.is_file():
        pytest.skip("shellcheck is not installed: make .venv/.dev")
    done = subprocess.run([SHELLCHECK, "--shell=bash", "-"], input=text, text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_each_seed_has_a_machine_a_bundle_and_a_group_of_its_own():
    site = record_site(seeds="3", **CPU)
    assert list(site.outputs["groups"]) == site.outputs["runs"]
    assert len(set(site.outputs["groups"].values())) == 3
    scripts = {script(site, number) for number in range(3)}
    assert len(scripts) == 3


def test_shortened_names_keep_their_beginning_and_stay_apart():
    assert shortened("short", 60) == "short"
    first, second = (shortened(f"{'a' * 59}-{end}", 60) for end in "xy")
    assert first != second
    assert first.startswith("a" * 40)
    assert len(first) == len(second) == 60
    assert len(shortened(f"{'a' * 48}...-{'b' * 40}", 60)) <= 60
    assert re.fullmatch(rf"a+-[0-9a-f]{{{DIGEST}}}", first)
