"""A whole site: what it has at all, and what holds of all of it."""

import importlib
import inspect

import gcp_site
import pytest
from gcp_site import found

from trainer.errors import BadInput

CPU = {"machines": "e2-standard-4"}
ALL = {
    "seeds": "2",
    "email": "ops@example.com",
    "budgetUsd": "500",
    "billingAccount": "012345-6789AB-CDEF01",
    "analytics": "true",
}
SITES = {
    "gpu": {},
    "cpu": {**CPU, "spot": "false"},
    "private": {**CPU, "egress": "private"},
    "all": ALL,
    "stay": {"whenDone": "stay"},
    "keep": {"lifecycle": "keep"},
    "cleanup": {"lifecycle": "cleanup"},
}


@pytest.fixture(params=SITES)
def settings(request):
    return SITES[request.param]


def test_a_site_can_be_seen_before_and_made(settings):
    seen, _ = gcp_site.record(preview=True, **settings)
    made, outputs = gcp_site.record(**settings)
    assert {(each.type, each.name) for each in seen} == {(each.type, each.name) for each in made}
    assert outputs["store"] == f"gs://{outputs['bucket']}/runs"
    assert set(outputs["groups"]) == set(outputs["runs"])
    assert outputs["machinePrice"] > 0


def test_analytics_are_there_if_asked_for():
    for name, asked in (("gpu", False), ("all", True)):
        resources, outputs = gcp_site.record(**SITES[name])
        assert any(each.type.startswith("gcp:bigquery/") for each in resources) is asked
        assert ({"dataset", "reportUrls"} <= outputs.keys()) is asked
        assert outputs["dashboardUrl"].startswith("https://console.cloud.google.com/")


def test_what_takes_labels_has_the_sites(settings):
    resources, _ = gcp_site.record(**settings)
    tags = gcp_site.plan(**settings).tags
    # A channel's labels are its address; it has labels of users beside them.
    labelled = [each for each in resources if takes_labels(each) and each.kind != "NotificationChannel"]
    assert {each.kind for each in labelled} >= {"Bucket", "CryptoKey", "RegionInstanceTemplate"}
    for each in labelled:
        assert each.inputs.get("labels", {}).items() >= tags.items(), each.name
    [template] = [each.inputs for each in resources if each.kind == "RegionInstanceTemplate"][:1]
    for disk in template["disks"]:
        assert disk["labels"].items() >= tags.items()
    assert template["labels"]["slipway-run"]


def takes_labels(resource):
    if not resource.custom or not resource.type.startswith("gcp:"):
        return False
    _, module, kind = resource.type.split(":")
    made = getattr(importlib.import_module(f"pulumi_gcp.{module.split('/')[0]}"), kind)
    return "labels" in inspect.signature(made._internal_init).parameters


def test_all_is_made_by_one_provider_in_the_sites_project(settings):
    resources, _ = gcp_site.record(**settings)
    provider, *billing = [each for each in resources if each.type == "pulumi:providers:gcp"]
    assert provider.inputs["project"] == gcp_site.PROJECT
    assert [each.name for each in billing] in ([], ["slipway-dev-google-billing"])  # the budget's alone
    for each in resources:
        if each.custom and each not in (provider, *billing) and each.kind != "Budget":
            assert f"::{provider.name}::" in each.provider, each.name
            assert each.inputs.get("project", gcp_site.PROJECT) == gcp_site.PROJECT


def test_every_resource_belongs_to_a_component_that_says_what_it_is(settings):
    resources, _ = gcp_site.record(**settings)
    components = {each.type for each in resources if each.type.startswith("slipway:")}
    assert components >= {
        f"slipway:gcp:{name}" for name in ("Services", "Key", "Storage", "Identity", "Network", "Logs", "Compute")
    }
    for each in resources:
        if each.type.startswith("gcp:"):
            assert "slipway:gcp:" in each.parent, each.name


def test_services_are_switched_on_and_never_off():
    resources, _ = gcp_site.record()
    services = found(resources, "Service")
    assert {each.inputs["service"] for each in services.values()} == {
        f"{name}.googleapis.com"
        for name in (
            *("cloudkms", "cloudresourcemanager", "compute", "dns", "iam"),
            *("iap", "logging", "monitoring", "oslogin", "storage"),
        )
    }
    assert not any(each.inputs["disableOnDestroy"] for each in services.values())


def test_what_is_chosen_needs_more_services():
    more, _ = gcp_site.record(**ALL)
    added = set(found(more, "Service")) - set(found(gcp_site.record()[0], "Service"))
    assert added == {"bigquery", "billingbudgets"}


def test_nothing_is_made_before_the_services_are_on():
    """Everything waits for them, by itself or by what it needs."""
    resources, _ = gcp_site.record()
    names = {each.name: each for each in resources if each.custom}
    services = {name for name, each in names.items() if each.kind == "Service"}
    waits = set(services)
    for each in resources:  # in the order in which they were registered
        if each.type.startswith("gcp:") and {urn.rsplit("::", 1)[-1] for urn in each.dependencies} & waits:
            waits.add(each.name)
    assert {each.name for each in resources if each.type.startswith("gcp:")} <= waits


@pytest.mark.parametrize("stack", ["google", "my-g00gle", "goog"])
def test_buckets_cannot_be_called_google(stack):
    from infra.gcp import site

    with pytest.raises(BadInput) as caught:
        site.deploy(gcp_site.plan(stack))
    assert caught.value.field == "stack"
    assert caught.value.value == stack
