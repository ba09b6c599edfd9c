import dataclasses
import ipaddress
from decimal import Decimal

import pytest

from infra import machines, settings
from infra.lifecycle import Lifecycle
from trainer.errors import BadInputs

AWS = {"cloud": "aws", "region": "us-east-1", "run": "cartpole-ppo"}
GCP = {"cloud": "gcp", "region": "us-central1", "run": "cartpole-ppo", "project": "my-project"}


def refused(configuration, **keywords):
    """What is wrong with a configuration, by option."""
    with pytest.raises(BadInputs) as caught:
        settings.load(configuration, **keywords)
    assert caught.value.exit_code == 2
    return {error.field.removeprefix("slipway:"): error for error in caught.value.errors}


def test_three_keys_make_a_site_in_aws():
    read = settings.load(AWS)
    assert read.machines == ("g6.xlarge", "g5.xlarge", "g4dn.xlarge")
    assert (read.spot, read.seeds, read.lifecycle, read.zones) == (True, 1, Lifecycle.DEV, 2)
    assert read.cidr == ipaddress.IPv4Network("10.20.0.0/16")
    assert read.project is None
    assert read.has_gpu


def test_four_keys_make_a_site_in_google_cloud():
    read = settings.load(GCP)
    assert read.machines == ("g2-standard-4",)
    assert (read.zones, read.quicksight_user, read.project) == (None, None, "my-project")


def test_every_key_is_read():
    read = settings.load(
        AWS
        | {
            "lifecycle": "keep", "machines": '["c7i.xlarge", "m7i.xlarge"]', "spot": "false", "seeds": "5",
            "diskGib": "60", "image": "ami-0123456789abcdef0", "egress": "private", "cidr": "172.16.0.0/20",
            "whenDone": "stay", "email": "ops@example.com", "budgetUsd": "99.5", "analytics": "true", "zones": "3",
            "quicksightUser": "arn:aws:quicksight:us-east-1:123456789012:user/default/me",
        },
        {"email"},
    )  # fmt: skip
    assert read.machines == ("c7i.xlarge", "m7i.xlarge")
    assert not read.has_gpu
    assert (read.spot, read.seeds, read.disk_gib, read.egress, read.when_done) == (False, 5, 60, "private", "stay")
    assert (read.budget_usd, read.analytics, read.zones) == (Decimal("99.5"), True, 3)
    assert read.secret_keys == {"email"}
    assert read.rules.protect


def test_nothing_set_names_all_that_is_required():
    assert refused({}).keys() == {"cloud", "region", "run"}
    assert refused({"cloud": "gcp"}).keys() == {"region", "run", "project"}


def test_all_errors_come_together():
    found = refused(
        {
            "cloud": "aws", "region": "us-east-9", "run": "cartpole-pppo", "seeds": "0", "email": "nobody",
            "budgetUsd": "-1", "project": "my-project", "lifecycl": "dev", "zones": "1", "cidr": "8.8.0.0/16",
        }
    )  # fmt: skip
    assert found.keys() == {
        *("region", "run", "seeds", "email", "budgetUsd", "project", "lifecycl", "zones", "cidr"),
    }
    assert "us-east-2" in found["region"].cure
    assert "cartpole-ppo" in found["run"].cure
    assert "slipway:lifecycle" in found["lifecycl"].cure


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("lifecycle", "forever"), ("spot", "maybe"), ("seeds", "many"), ("diskGib", "10"), ("image", "debian"),
        ("egress", "open"), ("cidr", "10.20.0.1/16"), ("cidr", "10.0.0.0/8"), ("whenDone", "explode"),
        ("email", "a@b"), ("email", "a b@example.com"), ("budgetUsd", "nan"), ("budgetUsd", "much"),
        ("machines", "[]"), ("machines", "g5.xlarge,g5.xlarge"), ("machines", "g5.xlarge,"), ("machines", "{"),
        ("zones", "7"), ("quicksightUser", "me"), ("run", " "), ("signingKey", "no-such-file.pem"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(option, value):
    found = refused(AWS | {option: value})
    assert set(found) == {option}
    assert f"slipway:{option}" in found[option].field
    assert found[option].allowed
    assert found[option].cure


@pytest.mark.parametrize(("option", "value"), [("project", "X"), ("project", "a"), ("billingAccount", "0123")])
def test_a_wrong_value_of_google_is_named(option, value):
    assert set(refused(GCP | {option: value})) == {option}


@pytest.mark.parametrize(
    ("configuration", "option", "value"),
    [
        (AWS, "project", "my-project"),
        (AWS, "billingAccount", "012345-6789AB-CDEF01"),
        (GCP, "zones", "2"),
        (GCP, "quicksightUser", "arn:aws:quicksight:us-east-1:123456789012:user/default/me"),
    ],
)
def test_keys_of_the_other_cloud_are_refused(configuration, option, value):
    error = refused(configuration | {option: value})[option]
    assert f"pulumi config rm slipway:{option}" in error.cure


def test_a_machine_that_the_region_does_not_have_is_refused_with_those_that_it_has():
    name, region = next(
        (name, region)
        for name, machine in machines.MACHINES["aws"].items()
        for region in machines.regions("aws")
        if machine.gpus and not machines.offered("aws", name, region)
    )
    error = refused({"cloud": "aws", "run": "cartpole-ppo", "region": region, "machines": name})["machines"]
    assert error.value == name
    assert "c7i.large" in error.allowed


def test_spot_where_there_is_none_is_refused(monkeypatch):
    without = dataclasses.replace(machines.find("aws", "c7i.large"), spot=False)  # the table may have none such
    monkeypatch.setattr(machines, "find", lambda cloud, name: without)
    assert "c7i.large" in refused(AWS | {"machines": "c7i.large"})["spot"].allowed
    assert not settings.load(AWS | {"machines": "c7i.large", "spot": "false"}).spot


def test_machines_are_of_one_kind_and_one_in_google_cloud():
    assert "machines" in refused(AWS | {"machines": "g5.xlarge,c7i.xlarge"})
    assert "machines" in refused(GCP | {"machines": "e2-standard-2,e2-standard-4"})


def test_a_budget_lasts_an_hour_and_tells_somebody():
    assert "email" in refused(AWS | {"budgetUsd": "100"})
    assert refused(GCP | {"budgetUsd": "100"}).keys() == {"email", "billingAccount"}
    error = refused(AWS | {"budgetUsd": "2", "email": "ops@example.com", "machines": "g5.xlarge", "seeds": "3"})
    price = 3 * machines.price_per_hour("aws", "g5.xlarge", "us-east-1")
    assert f"{price:.2f}" in error["budgetUsd"].allowed
    assert settings.load(AWS | {"budgetUsd": "5", "email": "ops@example.com", "machines": "g5.xlarge", "seeds": "3"})


def test_an_image_is_the_clouds_own():
    assert "image" in refused(GCP | {"image": "ami-0123456789abcdef0"})
    assert "image" in refused(AWS | {"image": "projects/debian-cloud/global/images/family/debian-12"})
    assert settings.load(GCP | {"image": "projects/debian-cloud/global/images/family/debian-12"}).image
    assert settings.load(AWS | {"image": "/aws/service/canonical/ubuntu/server/22.04/stable/x"}).image


def test_a_wrong_secret_is_not_shown():
    error = refused(AWS | {"email": "hush hush"}, secret_keys={"email"})["email"]
    assert "hush" not in str(error)


def test_files_are_relative_to_the_stacks_folder(tmp_path):
    (tmp_path / "mine.yaml").write_text("env: slipway/CartPole-v1\n")
    assert settings.load(AWS | {"run": "mine.yaml"}, folder=tmp_path).run == str(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text("env: slipway/CartPole-v1\nagent: {algorithm: ppoo}\n")
    assert "agent.algorithm" in refused(AWS | {"run": "mine.yaml"}, folder=tmp_path)


def test_every_key_says_what_it_means_and_its_example_is_allowed(tmp_path):
    for key in settings.KEYS:
        assert key.meaning.endswith(".")
        assert key.allowed
        assert settings.BY_OPTION[key.option] is key
        key.parse(key.example)
        if key.default is not None:
            key.parse(key.default)
