"""A site in AWS goes through its whole life under the real engine, with the real Terraform provider behind it.

The account is moto's. So this shows that the program is planned, that each argument is one that the provider takes,
that what is made stays as it was declared, and that everything goes again. It does not show that AWS takes it: moto
knows no quotas, little of permissions and of what takes time, and launches machines that never boot.

Each fixture is a step in the site's life, and needs the one before it.
"""

import base64
import gzip
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from engine import ROOT

from infra.operations.remains import REMAINDERS

pytestmark = pytest.mark.timeout(1200)  # of which the provider sleeps for most: see `started`

PACK = ROOT / "infra" / "policy"
SECRETS = {"email": "ops-7f3a91@example.com", "budgetUsd": "4217.93"}
MAXIMUM_USER_DATA_BYTES = 16_384


@pytest.fixture(scope="module")
def signing_key(tmp_path_factory):
    """The file of a private key."""
    path = tmp_path_factory.mktemp("key") / "key.pem"
    form = serialization.PrivateFormat.PKCS8
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def before(aws):
    """What there was in the account before the site."""
    return aws.inventory()


@pytest.fixture(scope="module")
def site(aws, before, signing_key, tmp_path_factory):
    """The site's stack."""
    engine = aws.engine(tmp_path_factory.mktemp("site") / "stack")
    engine.config(cloud="aws", region="us-east-1", run="lost-sales-ppo", seeds=2, signingKey=str(signing_key))
    engine.config(analytics=True)
    engine.secrets(SECRETS)
    return engine


@pytest.fixture(scope="module")
def planned(site):
    return site.preview(policy_pack=PACK)


@pytest.fixture(scope="module")
def started(site, planned):
    """The site while it is being made.

    For a bucket's lifecycle rules the Terraform provider waits 10 s, and then for ten equal answers, 5 s apart, and
    nothing that an answer could say makes it shorter. Tests that need no site run meanwhile.
    """
    planned.succeeded()
    with ThreadPoolExecutor(1) as executor:
        yield executor.submit(site.up, policy_pack=PACK)


@pytest.fixture(scope="module")
def made(started):
    return started.result()


@pytest.fixture(scope="module")
def repeated(site, made):
    made.succeeded()
    return site.up(expect_no_changes=True)


@pytest.fixture(scope="module")
def refreshed(site, repeated):
    return site.refresh(expect_no_changes=True)


@pytest.fixture(scope="module")
def repaired(aws, site, refreshed):
    """The site after somebody deleted a log group, and opened a bucket."""
    real(aws)
    group = site.outputs()["logGroup"]
    aws.client("logs").delete_log_group(logGroupName=group)
    aws.client("s3").delete_public_access_block(Bucket=site.outputs()["bucket"])
    return site.refresh(), site.up()


@pytest.fixture(scope="module")
def refused(aws, site, repaired):
    """What became of destroying it with a result in its bucket."""
    aws.client("s3").put_object(Bucket=site.outputs()["bucket"], Key="runs/r/report.html", Body=b"a result")
    return site.destroy()


@pytest.fixture(scope="module")
def relaxed(site, refused):
    site.config(lifecycle="cleanup")
    return site.up()


@pytest.fixture(scope="module")
def destroyed(site, relaxed):
    relaxed.succeeded()
    return site.destroy()


def real(account):
    """Skip a test that needs what is made to be there."""
    if not account.is_real:
        pytest.skip("there is no terraform-provider-aws, so nothing was made")


def mandatory(outcome):
    """Logical name and policy of what must not be."""
    found = (each for each in outcome.violations if each["enforcementLevel"] == "mandatory")
    return [(each["resourceUrn"].split("::")[-1], each["policyName"]) for each in found]


def program(folder, text):
    """A small program beside the site's."""
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (folder / "__main__.py").write_text(textwrap.dedent(text))
    return folder


def test_a_preview_plans_everything_and_makes_nothing(aws, before, site, planned):
    planned.succeeded()
    assert {step.operation for step in planned.steps} == {"create"}
    assert mandatory(planned) == []
    assert site.resources() == []
    assert aws.inventory() == before


def test_wrong_settings_are_listed_together_and_nothing_is_planned(aws, started, tmp_path):
    engine = aws.engine(tmp_path / "stack")
    engine.config(cloud="aws", region="us-east-9", run="no-such-preset", email="nobody", zones=1, project="p-12345")
    wrong = engine.preview().failed()
    for key in ("region", "run", "email", "zones", "project"):
        assert f"slipway:{key}" in wrong.text
    assert wrong.steps == ()


def test_every_other_switch_is_previewed(aws, started, tmp_path):
    engine = aws.engine(tmp_path / "stack")
    engine.config(cloud="aws", region="eu-west-1", run="cartpole-ppo", lifecycle="keep", machines="c7i.xlarge")
    engine.config(spot=False, zones=3, egress="private", whenDone="stay", diskGib=80, cidr="172.16.0.0/20")
    other = engine.preview().succeeded()
    assert {step.operation for step in other.steps} == {"create"}
    assert "VpcEndpoint" in {step.type.split(":")[-1] for step in other.created}


def test_the_provider_refuses_a_wrong_argument_at_preview(aws, started, tmp_path):
    real(aws)
    wrong = """
        import pulumi_aws as aws

        aws.ec2.LaunchTemplate("nodes", instance_market_options={"market_type": "spott"})
    """
    engine = aws.engine(tmp_path / "stack", program=program(tmp_path / "wrong", wrong))
    refused = engine.preview().failed()
    (message,) = [message for urn, message in refused.errors if urn.endswith("::nodes")]
    assert "instanceMarketOptions.marketType" in message
    assert 'expected market_type to be one of ["spot" "capacity-block"], got spott' in message


def test_the_policy_pack_stops_a_violating_program_at_preview(aws, started, tmp_path):
    violating = """
        import pulumi_aws as aws

        aws.ec2.SecurityGroupRule(
            "ssh", type="ingress", security_group_id="sg-1", protocol="tcp", from_port=22, to_port=22,
            cidr_blocks=["0.0.0.0/0"],
        )
        aws.kms.Key("key", enable_key_rotation=False, deletion_window_in_days=7)
    """
    engine = aws.engine(tmp_path / "stack", program=program(tmp_path / "violating", violating))
    stopped = engine.preview(policy_pack=PACK).failed()
    assert ("key", "aws-key-rotates") in mandatory(stopped)


def test_up_makes_what_was_planned(site, planned, made):
    made.succeeded()
    assert made.violations == []  # at preview some policies cannot tell yet
    assert {step.urn for step in made.created} == {step.urn for step in planned.created}
    assert {step.operation for step in made.steps} == {"create"}


def test_secrets_are_nowhere_in_clear(aws, site, made, signing_key):
    made.succeeded()
    body = signing_key.read_text().splitlines()[1]
    for value in (*SECRETS.values(), body):
        assert site.containing(value) == []
    assert site.containing("lost-sales-ppo")  # which is none: so the search finds what there is
    if aws.is_real:
        topic_mail = aws.client("sns").list_subscriptions()["Subscriptions"]
        assert SECRETS["email"] in {each["Endpoint"] for each in topic_mail}  # it did arrive
    for text in user_data(aws, site):
        assert not any(value in text for value in (*SECRETS.values(), body))


def user_data(aws, site):
    """The scripts of machines' first boots, as EC2 has them."""
    for template in (one for one in site.resources() if one["type"].endswith(":LaunchTemplate")):
        data = base64.b64decode(template["outputs"]["userData"])
        assert len(data) <= MAXIMUM_USER_DATA_BYTES
        yield (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()


def test_each_run_has_a_machine_that_boots_its_own_bundle(aws, site, made):
    outputs = site.outputs()
    assert len(outputs["runs"]) == 2
    texts = list(user_data(aws, site))
    for run in outputs["runs"]:
        (text,) = [text for text in texts if run in text]
        assert outputs["bucket"] in text


def test_a_second_up_changes_nothing(repeated, made):
    repeated.succeeded()
    assert len(repeated.same) == len(made.created)


def test_a_refresh_finds_nothing_changed(refreshed):
    refreshed.succeeded()


def test_what_was_changed_behind_its_back_is_seen_and_repaired(aws, site, repaired):
    seen, repair = repaired
    assert "LogGroup" in {step.type.split(":")[-1] for step in seen.succeeded().deleted}
    repair.succeeded()
    assert "LogGroup" in {step.type.split(":")[-1] for step in repair.created}
    bucket = site.outputs()["bucket"]
    blocked = aws.client("s3").get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(blocked.values())
    groups = aws.client("logs").describe_log_groups()["logGroups"]
    assert site.outputs()["logGroup"] in {each["logGroupName"] for each in groups}


def test_a_bucket_with_results_is_not_destroyed(aws, site, refused):
    refused.failed()
    assert any(":s3/bucket:Bucket::" in urn and "BucketNotEmpty" in message for urn, message in refused.errors)
    kept = {one["id"] for one in site.resources() if one["type"] == "aws:s3/bucket:Bucket"}
    assert kept <= {each["Name"] for each in aws.client("s3").list_buckets()["Buckets"]}


def test_after_an_up_with_cleanup_everything_is_destroyed(aws, before, site, destroyed):
    destroyed.succeeded()
    assert site.resources() == []
    assert aws.inventory() == before
    assert aws.client("kms").list_keys()["Keys"]  # it waits for its deletion,
    assert "aws:kms/key:Key" in REMAINDERS  # and that is declared
