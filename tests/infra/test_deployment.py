import subprocess
import sys
import tarfile

import pytest
import yaml

from infra import bundle, deployment, settings
from trainer.bundle import verify
from trainer.errors import BadInput

AWS = {"cloud": "aws", "region": "us-east-1", "run": "cartpole-ppo", "machines": "c7i.large"}


def planned(**more):
    return deployment.plan("dev", settings.load(AWS | more))


def test_a_run_for_each_seed_with_ids_that_do_not_change():
    first, second = planned(seeds="3"), planned(seeds="3")
    assert [run.run_file.seed for run in first.runs] == [0, 1, 2]
    assert [run.run_id for run in first.runs] == [run.run_id for run in second.runs]
    assert len({run.run_id for run in first.runs}) == 3
    assert planned().runs[0] == first.runs[0]


@pytest.mark.parametrize("stack", ["Dev", "1st", "a-stack-with-a-long-name", "dev-", ""])
def test_names_of_stacks_must_do_for_resources(stack):
    with pytest.raises(BadInput) as caught:
        deployment.plan(stack, settings.load(AWS))
    assert caught.value.field == "stack"


def test_tags_are_allowed_as_googles_labels():
    for key, value in planned().tags.items():
        assert key == key.lower()
        assert value == value.lower()
        assert len(key) <= 63


def test_a_bundle_says_where_it_trains_and_is_the_same_each_time():
    site = planned()
    place = {"store": "s3://bucket/runs", "sinks.cloudwatch.enabled": True, "preemption.watch": "ec2"}
    made = bundle.build(site, site.runs[0], place)
    first = made.path.read_bytes()
    with tarfile.open(made.path) as archive:
        run_file = yaml.safe_load(archive.extractfile("run.yaml"))
    assert run_file["store"] == "s3://bucket/runs"
    assert run_file["sinks"]["cloudwatch"]["enabled"] is True
    assert run_file["preemption"]["watch"] == "ec2"
    assert run_file["budget"]["price_usd_per_hour"] == pytest.approx(site.price_usd_per_hour)
    manifest = verify.verify(made.path, None)
    assert manifest["run_id"] == site.runs[0].run_id
    assert manifest["gpu"] is False
    again = bundle.build(site, site.runs[0], place)
    assert (again.sha256, again.path.read_bytes()) == (made.sha256, first)
    assert not made.signed


def test_a_price_that_the_run_file_gives_stays(tmp_path):
    (tmp_path / "run.yaml").write_text("env: slipway/CartPole-v1\nbudget: {price_usd_per_hour: 0.01}\n")
    site = deployment.plan("dev", settings.load(AWS | {"run": "run.yaml"}, folder=tmp_path))
    made = bundle.build(site, site.runs[0], {})
    with tarfile.open(made.path) as archive:
        assert yaml.safe_load(archive.extractfile("run.yaml"))["budget"]["price_usd_per_hour"] == 0.01


def test_a_bundle_is_signed_by_the_key_that_is_given(tmp_path):
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
    site = deployment.plan("dev", settings.load(AWS | {"signingKey": "key.pem"}, folder=tmp_path))
    made = bundle.build(site, site.runs[0], {})
    assert made.signed
    public = tmp_path / "pub.pem"
    public.write_text(bundle.public_key(site))
    assert verify.verify(made.path, public)["run_id"] == site.runs[0].run_id
    assert bundle.public_key(planned()) is None


def test_bundles_go_with_the_process():
    code = (
        "from infra import bundle, deployment, settings\n"
        f"site = deployment.plan('dev', settings.load({AWS!r}))\n"
        "print(bundle.build(site, site.runs[0], {}).path)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    from pathlib import Path

    assert done.stdout.strip().endswith(".tar.gz")
    assert not Path(done.stdout.strip()).parent.exists()
