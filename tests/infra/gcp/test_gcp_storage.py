"""The buckets: nobody's but the site's, and what is deleted comes back for as long as the lifecycle says."""

import gcp_site
import pytest
from gcp_site import KEY_ID, REGION, found

DAY = 24 * 3600


@pytest.fixture(params=["artifacts", "access-logs"])
def bucket(request):
    resources, _ = gcp_site.record()
    return found(resources, "Bucket")[request.param]


def test_nobody_outside_reads_a_bucket(bucket):
    assert bucket.inputs["publicAccessPrevention"] == "enforced"
    assert bucket.inputs["uniformBucketLevelAccess"] is True


def test_a_bucket_is_encrypted_with_the_sites_key_where_that_is(bucket):
    assert bucket.inputs["encryption"] == {"defaultKmsKeyName": KEY_ID}
    assert bucket.inputs["location"] == REGION.upper()


def test_a_buckets_name_is_pulumis(bucket):
    assert "name" not in bucket.inputs


@pytest.mark.parametrize(
    ("lifecycle", "soft_days", "version_days", "forced", "protected"),
    [("dev", 7, 1, False, False), ("keep", 30, 1, False, True), ("cleanup", 0, 0, True, False)],
)
def test_the_lifecycle_decides_what_comes_back_and_what_goes(lifecycle, soft_days, version_days, forced, protected):
    resources, _ = gcp_site.record(lifecycle=lifecycle)
    for bucket in found(resources, "Bucket").values():
        assert bucket.inputs["softDeletePolicy"] == {"retentionDurationSeconds": soft_days * DAY}
        assert (bucket.inputs["forceDestroy"], bucket.protect) == (forced, protected)
    artifacts = found(resources, "Bucket")["artifacts"].inputs
    assert artifacts["versioning"] == {"enabled": True}
    old, *_ = artifacts["lifecycleRules"]
    assert old["action"] == {"type": "Delete"}
    assert old["condition"] == {
        "daysSinceNoncurrentTime": version_days,
        "sendDaysSinceNoncurrentTimeIfZero": version_days == 0,  # or the provider would leave it out
        "withState": "ARCHIVED",
    }


def test_no_rule_ends_what_a_run_has_stored():
    resources, _ = gcp_site.record()
    for rule in found(resources, "Bucket")["artifacts"].inputs["lifecycleRules"]:
        kind = rule["action"]["type"]
        assert rule["condition"].get("withState") == "ARCHIVED" or kind == "AbortIncompleteMultipartUpload"


@pytest.mark.parametrize(("lifecycle", "days"), [("dev", 30), ("keep", 365)])
def test_usage_is_logged_in_a_bucket_of_its_own_for_as_long_as_logs_last(lifecycle, days):
    resources, _ = gcp_site.record(lifecycle=lifecycle)
    buckets = found(resources, "Bucket")
    logs = f"slipway-dev-access-logs-{gcp_site.RANDOM}"
    assert buckets["artifacts"].inputs["logging"] == {"logBucket": logs, "logObjectPrefix": "artifacts"}
    assert "logging" not in buckets["access-logs"].inputs
    ends, _ = buckets["access-logs"].inputs["lifecycleRules"]
    assert ends == {"action": {"type": "Delete"}, "condition": {"age": days, "withState": "ANY"}}
    writers = found(resources, "BucketIAMMember")["access-logs-writers"].inputs
    assert writers == {
        "bucket": logs,
        "role": "roles/storage.objectCreator",
        "member": "group:cloud-storage-analytics@google.com",
    }
