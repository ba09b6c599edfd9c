"""Logs: kept once, encrypted, for as long as the lifecycle says."""

import gcp_site
import pytest
from gcp_site import KEY_ID, PROJECT, RANDOM, REGION, found


@pytest.mark.parametrize(("lifecycle", "days"), [("dev", 30), ("keep", 365), ("cleanup", 30)])
def test_the_bucket_is_encrypted_and_keeps_as_long_as_the_lifecycle_says(lifecycle, days):
    resources, _ = gcp_site.record(lifecycle=lifecycle)
    bucket = found(resources, "ProjectBucketConfig")["logs"].inputs
    assert bucket["retentionDays"] == days
    assert bucket["cmekSettings"] == {"kmsKeyName": KEY_ID}
    assert bucket["location"] == REGION
    assert bucket["bucketId"] == f"slipway-dev-{RANDOM}"
    assert "locked" not in bucket  # a locked one could not be deleted with its site


def test_lines_go_to_the_bucket_and_nowhere_else():
    resources, outputs = gcp_site.record()
    sink, out = found(resources, "ProjectSink")["sink"], found(resources, "ProjectExclusion")["kept-elsewhere"]
    bucket = f"projects/{PROJECT}/locations/{REGION}/buckets/slipway-dev-{RANDOM}"
    assert sink.inputs["destination"] == f"logging.googleapis.com/{bucket}"
    assert outputs["logBucket"] == bucket
    assert out.inputs["filter"] == sink.inputs["filter"]
    # Whatever is left out before the sink is there would be nowhere.
    assert any(urn.endswith(f"::{sink.name}") for urn in out.dependencies)


def test_what_is_kept_is_the_sites_alone():
    resources, outputs = gcp_site.record()
    nodes, *others = found(resources, "ProjectSink")["sink"].inputs["filter"].split(" OR (logName")
    assert nodes == f'logName="projects/{PROJECT}/logs/{outputs["logName"]}"'
    assert len(others) == 3
    for part, name in zip(others, ("subnet", "network", "nat"), strict=True):
        assert f'="slipway-dev-{name}-{RANDOM}")' in part


def test_without_nat_there_is_no_log_of_it():
    resources, _ = gcp_site.record(egress="private", machines="e2-standard-4")
    kept = found(resources, "ProjectSink")["sink"].inputs["filter"]
    assert "vpc_flows" in kept
    assert "nat_flows" not in kept


def test_the_log_bucket_is_there_as_long_as_the_runs_are():
    """A removal that stops at a bucket with runs must leave it: its name would be taken for a week."""
    resources, _ = gcp_site.record()
    runs = found(resources, "Bucket")["artifacts"]
    logs = found(resources, "ProjectBucketConfig")["logs"]
    assert logs.urn in runs.dependencies
