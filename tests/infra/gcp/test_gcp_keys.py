"""The key: who may use it, how it turns, and how long its end can be undone."""

import gcp_site
import pytest
from gcp_site import KEY_AGENTS, NUMBER, REGION, found

USE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


def test_the_key_turns_within_ninety_days_where_the_site_is():
    resources, _ = gcp_site.record()
    ring, key = found(resources, "KeyRing")["ring"], found(resources, "CryptoKey")["key"]
    assert ring.inputs["location"] == REGION
    assert int(key.inputs["rotationPeriod"].removesuffix("s")) <= 90 * 24 * 3600
    assert key.inputs["purpose"] == "ENCRYPT_DECRYPT"
    assert "name" not in {*ring.inputs, *key.inputs}  # Pulumi adds what makes it another one the next time


@pytest.mark.parametrize(
    ("lifecycle", "days", "protected"), [("dev", 7, False), ("keep", 30, True), ("cleanup", 7, False)]
)
def test_the_lifecycle_decides_how_long_its_end_can_be_undone_and_whether_it_may_end(lifecycle, days, protected):
    resources, _ = gcp_site.record(lifecycle=lifecycle)
    key = found(resources, "CryptoKey")["key"]
    assert key.inputs["destroyScheduledDuration"] == f"{days * 24 * 3600}s"
    assert {key.protect, found(resources, "KeyRing")["ring"].protect} == {protected}


def test_a_key_that_is_there_is_not_replaced_for_another_lifecycle():
    resources, _ = gcp_site.record()
    assert found(resources, "CryptoKey")["key"].ignore_changes == ["destroyScheduledDuration"]


@pytest.mark.parametrize("analytics", ["false", "true"])
def test_googles_own_agents_alone_use_it(analytics):
    resources, _ = gcp_site.record(analytics=analytics)
    key = f"{gcp_site.KEY_ID}"
    grants = found(resources, "CryptoKeyIAMMember")
    agents = {"storage", "compute", "logging"} | ({"bigquery"} if analytics == "true" else set())
    assert set(grants) == {f"key-{agent}" for agent in agents}
    for agent in agents:
        assert grants[f"key-{agent}"].inputs == {
            "cryptoKeyId": key,
            "role": USE,
            "member": f"serviceAccount:{KEY_AGENTS[agent]}",
        }
    assert all(NUMBER in KEY_AGENTS[agent] for agent in agents)


def test_whoever_encrypts_with_it_waits_for_the_grants():
    resources, _ = gcp_site.record()
    grants = found(resources, "CryptoKeyIAMMember").values()
    users = [each for each in resources if gcp_site.KEY_ID in str(each.inputs) and each not in grants]
    assert {each.kind for each in users} == {"Bucket", "ProjectBucketConfig", "RegionInstanceTemplate"}
    for user in users:
        assert {grant.name for grant in grants} <= {urn.rsplit("::", 1)[-1] for urn in user.dependencies}, user.name
