"""Options that components share: secrets stay secret, and what is to be kept is protected."""

import pulumi
import pytest
from recording import Recording, record

from infra import deployment, options, settings


def _site(lifecycle="dev", secret_keys=(), **more):
    given = {"cloud": "aws", "region": "us-east-1", "run": "cartpole-ppo", "lifecycle": lifecycle, **more}
    return deployment.Deployment("dev", settings.load(given, secret_keys), ())


@pytest.mark.parametrize("secret", [True, False])
def test_a_value_set_as_a_secret_stays_one(secret):
    site = _site(email="ops@example.com", secret_keys=["email"] if secret else [])

    def program():
        found = pulumi.Output.from_input(options.value(site, "email"))
        return {"secret": pulumi.Output.from_input(found.is_secret()), "value": pulumi.Output.unsecret(found)}

    assert record(program, Recording())[1] == {"secret": secret, "value": "ops@example.com"}


def test_a_secret_of_two_words_is_found_by_its_name_here():
    site = _site(budgetUsd="200.50", email="ops@example.com", secret_keys=["budgetUsd"])
    outputs = record(lambda: {"secret": options.value(site, "budget_usd").is_secret()}, Recording())[1]
    assert outputs == {"secret": True}


def test_what_is_not_set_has_no_value():
    with pytest.raises(ValueError, match="email is not set"):
        options.value(_site(), "email")


@pytest.mark.parametrize(("lifecycle", "protect"), [("dev", False), ("keep", True), ("cleanup", False)])
def test_the_lifecycle_says_what_pulumi_may_delete(lifecycle, protect):
    site = _site(lifecycle)

    def program():
        parent = pulumi.ComponentResource("slipway:test:Parent", "parent")
        pulumi.CustomResource("test:index:Kept", "kept", {}, options.kept(parent, site, delete_before_replace=True))
        pulumi.CustomResource("test:index:Child", "child", {}, options.child(parent, ignore_changes=["size"]))

    by_name = {each.name: each for each in record(program, Recording())[0]}
    kept, child = by_name["kept"], by_name["child"]
    assert (kept.protect, kept.delete_before_replace) == (protect, True)
    assert (child.protect, child.ignore_changes) == (False, ["size"])
    assert kept.parent == child.parent != ""
    assert kept.parent.endswith("slipway:test:Parent::parent")
