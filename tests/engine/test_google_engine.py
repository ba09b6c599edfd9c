"""Small programs for Google Cloud, and one for AWS by the same means, under the real Pulumi engine.

They show that what the provider refuses stops a preview, and how it is told. `test_google_arguments` has the table of
all that is refused, and the words on what this does not show.
"""

import textwrap
from pathlib import Path

import pytest
from engine import ROOT, Engine
from google_account import PROJECT, serving
from google_provider.world import VARIABLE, World

FALLBACK = Path(__file__).parent / "google_provider" / "fallback"


@pytest.fixture
def google(tmp_path):
    with serving(tmp_path) as account:
        yield account


def program(folder, text):
    """The folder of a program with this text."""
    made = folder / "program"
    made.mkdir()
    (made / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (made / "__main__.py").write_text(textwrap.dedent(text))
    return made


def stack(google, folder, text, **config):
    engine = google.engine(folder / "engine", program=program(folder, text))
    engine.config({"gcp:project": PROJECT, "gcp:region": "us-central1", **config})
    return engine


WRONG = """
    import pulumi, pulumi_gcp as gcp

    def bucket(**arguments):
        return gcp.storage.Bucket("it", location="us-central1", **arguments)

    cases = {
        "a nested typo": lambda: bucket(encryption={"default_kms_key": "k"}),
        "a wrong type": lambda: bucket(lifecycle_rules=[{"action": {"type": "Delete"}, "condition": {"age": "old"}}]),
        "what is missing": lambda: bucket(lifecycle_rules=[{"condition": {"age": 3}}]),
        "no value of it": lambda: gcp.kms.CryptoKey("it", key_ring="r", purpose="ENCRYPT"),
        "a bad name": lambda: gcp.kms.KeyRing("a ring", location="us-central1"),
        "too long a name": lambda: gcp.serviceaccount.Account("slipway-production-nodes"),
        "a bad duration": lambda: gcp.pubsub.Topic("it", message_retention_duration="1 day"),
        "no JSON": lambda: gcp.monitoring.Dashboard("it", dashboard_json='{"titel": "t"}'),
        "an unknown kind": lambda: gcp.redis.Instance("it", memory_size_gb=1),
        "no data source": lambda: gcp.storage.get_bucket_object(bucket="b", name="o"),
    }
    cases[pulumi.Config().require("case")]()
"""


@pytest.mark.slow
def test_wrong_arguments_stop_a_preview(google, tmp_path):
    engine = stack(google, tmp_path, WRONG)
    for case, told in (
        ("a nested typo", "property encryption.default_kms_key"),
        ("a wrong type", "property lifecycleRules[0].condition.age"),
        ("what is missing", "property lifecycleRules[0].action"),
        ("no value of it", "'ENCRYPT' is none of"),
        ("a bad name", "is not up to 63 letters, digits, _ and -"),
        ("too long a name", "accountId: 'slipway-production-nodes' with 8 characters more is longer than 30"),
        ("no JSON", "property dashboardJson.titel"),
        ("an unknown kind", "this provider does not know gcp:redis/instance:Instance yet"),
        ("no data source", "this provider has no data source gcp:storage/getBucketObject:getBucketObject"),
    ):
        engine.config(case=case)
        assert told in engine.preview().failed().text
    assert google.world.tokens == set()


def test_another_project_is_refused_at_once(google, tmp_path):
    engine = stack(google, tmp_path, WRONG, case="a nested typo")
    engine.config({"gcp:project": "other"})
    assert "there is no project other" in engine.preview().failed().text


OPEN = """
    import pulumi_gcp as gcp

    bucket = gcp.storage.Bucket("open", location="us-central1")
    gcp.storage.BucketIAMMember("open", bucket=bucket.name, role="roles/storage.objectViewer", member="allUsers")
"""


@pytest.mark.slow
def test_the_policy_pack_stops_a_program_that_opens_a_bucket(google, tmp_path):
    stopped = stack(google, tmp_path, OPEN).preview(policy_pack=ROOT / "infra" / "policy").failed()
    broken = {one["policyName"] for one in stopped.violations if one["enforcementLevel"] == "mandatory"}
    assert {"gcp-bucket-uniform", "gcp-bucket-never-public", "gcp-nobody-in-particular"} <= broken
    assert google.world.tokens == set()


AMAZON = """
    import pulumi, pulumi_aws as aws

    config = pulumi.Config()
    bucket = aws.s3.Bucket("artifacts", tags={"size": config.require("size")})
    rule = {"apply_server_side_encryption_by_default": {config.get("key") or "sse_algorithm": "aws:kms"}}
    aws.s3.BucketServerSideEncryptionConfiguration("artifacts", bucket=bucket.id, rules=[rule])
    topic = aws.sns.Topic("alarms", policy=aws.iam.get_policy_document(statements=[{"actions": ["sns:Publish"]}]).json)
    pulumi.export("topic", topic.arn)
    pulumi.export("account", aws.get_caller_identity().account_id)
"""


@pytest.mark.slow
def test_another_clouds_program_without_a_description_of_it(tmp_path):
    """Only the SDK's names and types are checked then, and the outputs are made up."""
    world = World.create(tmp_path / "world.json")
    environment = {VARIABLE: str(world.path)}
    engine = Engine(tmp_path / "engine", plugins=[FALLBACK], environment=environment, program=program(tmp_path, AMAZON))
    engine.config({"aws:region": "us-east-1", "size": "small"})
    assert len(engine.up().succeeded().created) == 3
    assert engine.outputs()["topic"].startswith("arn:aws:sns:us-east-1:123456789012:topic/alarms-")
    assert engine.outputs()["account"] == "123456789012"
    engine.refresh(expect_no_changes=True).succeeded()
    engine.config(size="large")
    assert [step.name for step in engine.up().succeeded().updated] == ["artifacts"]
    engine.config(key="sse_algoritm")
    (_, told), *_ = engine.preview().failed().errors
    assert "property rules[0].applyServerSideEncryptionByDefault.sse_algoritm" in told
    assert "did you mean sseAlgorithm?" in told
    engine.destroy().succeeded()
    assert world.tokens == set()
