"""The budget: what it counts, when it says so, and to whom."""

import json

import gcp_site
import pytest
import recording

from infra import deployment, settings
from infra.gcp import budget, site

GIVEN = {"email": "ops@example.com", "budgetUsd": "500", "billingAccount": "012345-6789AB-CDEF01"}


def recorded(kind="Budget", **more):
    return [
        each
        for each in gcp_site.record(**{**GIVEN, **more})[0]
        if each.kind == kind and not each.type.startswith("slipway:")
    ]


def test_it_counts_what_is_the_sites():
    (found,) = recorded()
    assert found.inputs["billingAccount"] == GIVEN["billingAccount"]
    assert found.inputs["budgetFilter"] == {
        "projects": [f"projects/{gcp_site.NUMBER}"],
        "labels": {"slipway-stack": "dev"},
        "calendarPeriod": "MONTH",
        "creditTypesTreatment": "INCLUDE_ALL_CREDITS",
    }


def test_its_label_is_on_what_costs():
    for kind in ("Bucket", "RegionInstanceTemplate"):
        for each in recorded(kind):
            assert each.inputs["labels"]["slipway-stack"] == "dev"


@pytest.mark.parametrize(
    ("given", "amount"),
    [
        ("500", {"currency_code": "USD", "units": "500"}),
        ("500.25", {"currency_code": "USD", "units": "500", "nanos": 250_000_000}),
        ("1e3", {"currency_code": "USD", "units": "1000"}),
    ],
)
def test_an_amount_is_exact(given, amount):
    assert budget._amount(given) == amount


def test_the_amount_is_the_configured_one():
    (found,) = recorded()
    assert found.inputs["amount"] == {"specifiedAmount": {"currencyCode": "USD", "units": "500"}}


def test_it_warns_of_what_is_spent_and_what_will_be():
    (found,) = recorded()
    said = [(each["spendBasis"], each["thresholdPercent"]) for each in found.inputs["thresholdRules"]]
    assert said == [("CURRENT_SPEND", 0.5), ("CURRENT_SPEND", 0.8), ("CURRENT_SPEND", 1), ("FORECASTED_SPEND", 1)]


def test_it_tells_the_sites_address_alone():
    (found,), (channel,) = recorded(), recorded("NotificationChannel")
    assert found.refers_to["allUpdatesRule"] == [channel.urn]
    assert found.inputs["allUpdatesRule"]["disableDefaultIamRecipients"] is True
    assert len(found.inputs["allUpdatesRule"]["monitoringNotificationChannels"]) == 1


def test_the_service_is_told_whose_quota_it_takes():
    (found,) = recorded()
    (provider,) = [each for each in recorded("gcp") if each.urn in found.provider]
    assert provider.inputs["billingProject"] == gcp_site.PROJECT
    assert provider.inputs["userProjectOverride"] in (True, "true")


def test_without_an_amount_there_is_none():
    assert not [each for each in gcp_site.record()[0] if each.kind == "Budget"]


def test_a_secret_account_stays_one(monkeypatch):
    monkeypatch.setattr(recording, "_plain", lambda value: value)
    planned = deployment.plan("dev", settings.load({**gcp_site.CONFIG, **GIVEN}, ["billingAccount", "budgetUsd"]))
    made, _ = recording.record(lambda: site.deploy(planned), gcp_site.Google())
    (found,) = [each for each in made if each.type == "gcp:billing/budget:Budget"]
    assert found.inputs["billingAccount"][recording._SIGNATURE]
    assert found.inputs["amount"]["specifiedAmount"][recording._SIGNATURE]
    assert GIVEN["billingAccount"] not in json.dumps([each.inputs for each in made if each is not found])
