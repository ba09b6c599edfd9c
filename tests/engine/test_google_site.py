"""The life of a whole site in Google Cloud under the real Pulumi engine.

Shown: that the program is accepted by the provider's checks (`test_google_arguments`), with unknown values in
previews; that the order of its resources is one in which each finds what it needs, rights to keys among it; what
changes in place, what is replaced; that nothing changes by itself; what stops a destroy, and what is left after one.

Not shown, as no real API answers: quotas, whether there is capacity, who may do what (but for keys), names that others
have taken, the time that all of it takes, and that what was made can be seen only later. Nor does any machine boot.
"""

import pytest
from engine import ROOT, Engine
from google_account import PROJECT, REGION, serving

from infra.operations import remains

PACK = ROOT / "infra" / "policy"
ALARM = "gcp:monitoring/alertPolicy:AlertPolicy"
FIREWALL = "gcp:compute/firewall:Firewall"
GROUP = "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager"
TEMPLATE = "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate"
BUCKET = "gcp:storage/bucket:Bucket"
LEFT = {
    *(token for token in remains.REMAINDERS if token.startswith("gcp:")),
    "gcp:logging/projectBucketConfig:ProjectBucketConfig",  # its name, for 7 days
    "gcp:projects/iAMCustomRole:IAMCustomRole",  # its id, for 44 days
    "gcp:projects/service:Service",  # on purpose
}
"""What Google Cloud keeps of a site; none of it is in the stack's state, and only versions of keys cost something."""


@pytest.fixture
def google(tmp_path, monkeypatch):
    """An account, which clients of this process find, too."""
    with serving(tmp_path) as account:
        for name, value in account.environment.items():
            monkeypatch.setenv(name, value)
        yield account


def site(google, tmp_path, program=ROOT, **config) -> Engine:
    """A stack of the project's own program."""
    engine = google.engine(tmp_path / "engine", stack="dev", program=program)
    engine.config(cloud="gcp", region=REGION, project=PROJECT, run="cartpole-ppo")
    engine.config(config)
    return engine


EVERYTHING = {
    "machines": "g2-standard-4",
    "analytics": True,
    "email": "ops@example.com",
    "budgetUsd": 500,
    "billingAccount": "012345-6789AB-CDEF01",
}
"""All that a site may have."""

WITHOUT_WHEELS = """
from trainer.bundle import wheelhouse

wheelhouse.download = lambda requirements, folder: []  # half a gigabyte, and no matter of the cloud

from infra.program import main

main()
"""


def only(world, token, **having):
    """The id of the one resource of a kind, whose properties have these texts in them."""
    held = ((id_, world.state(token, id_)) for id_ in world.ids(token))
    (found,) = (id_ for id_, state in held if all(text in state[name] for name, text in having.items()))
    return found


def names(steps):
    """Operations and logical names, without components: those are nobody's resources."""
    return sorted((step.operation, step.name) for step in steps if step.type.startswith("gcp:"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_life_of_a_site(google, tmp_path):
    from google.cloud import storage

    world, engine = google.world, site(google, tmp_path, **EVERYTHING)

    planned = engine.preview(policy_pack=PACK).succeeded()
    assert {step.operation for step in planned.steps} == {"create"}
    assert "logBucket   : [unknown]" in planned.output
    assert "USD/month" in planned.text
    assert (world.tokens, list(storage.Client().list_buckets())) == (set(), [])

    made = engine.up().succeeded()
    assert names(made.created) == names(planned.created)
    outputs = engine.outputs()
    group = only(world, GROUP)
    assert list(outputs["groups"].values()) == [group.rpartition("/")[2]]
    assert {bucket.name for bucket in storage.Client().list_buckets()} == set(world.ids(BUCKET))
    assert outputs["bucket"] in world.ids(BUCKET)

    # Nothing changes by itself, and the policy pack, which now knows every value, has no objection.
    again = engine.up(expect_no_changes=True, policy_pack=PACK).succeeded()
    assert (again.changes, again.violations) == ({"same": made.changes["create"]}, [])
    engine.refresh(expect_no_changes=True).succeeded()

    # What was deleted or changed behind its back is seen, and put right; a group whose run has ended stays at none.
    world.delete(FIREWALL, only(world, FIREWALL, name="deny-in"))
    world.change(BUCKET, outputs["bucket"], publicAccessPrevention="inherited")
    world.change(GROUP, group, targetSize=0)
    world.change(ALARM, only(world, ALARM, displayName="GpuIdle"), enabled=False)
    seen = engine.refresh().succeeded()
    assert names(seen.did("delete")) == [("delete", "slipway-dev-deny-in")]
    repaired = engine.up().succeeded()
    assert names(repaired.did("create", "update", "replace", "delete")) == [
        ("create", "slipway-dev-deny-in"),
        ("update", "slipway-dev-artifacts"),
        ("update", f"slipway-dev-{next(iter(outputs['runs']))}-GpuIdle"),
    ]
    assert world.state(GROUP, group)["targetSize"] == 0
    assert world.state(BUCKET, outputs["bucket"])["publicAccessPrevention"] == "enforced"

    # A template cannot change: there is a new one before the group leaves the old one.
    old = only(world, TEMPLATE)
    engine.config(diskGib=120)
    changed = engine.up().succeeded()
    assert {step.type for step in changed.replaced} == {TEMPLATE, GROUP}
    assert only(world, TEMPLATE) != old
    assert old not in str(world.read()["resources"][GROUP])

    # A bucket with objects stops a destroy, which says so; what is not empty is still there.
    storage.Client().bucket(outputs["bucket"]).blob("runs/a/run.yaml").upload_from_string("x")
    stopped = engine.destroy().failed()
    assert any(f"the bucket {outputs['bucket']} has" in message for _, message in stopped.errors)
    assert {urn.split("::")[-1] for urn in stopped.broken} == {"slipway-dev-artifacts"}
    assert storage.Client().bucket(outputs["bucket"]).blob("runs/a/run.yaml").exists()

    # So the lifecycle is `cleanup` first, and then everything goes but what is declared.
    engine.config(lifecycle="cleanup")
    engine.up().succeeded()
    destroyed = engine.destroy().succeeded()
    assert engine.resources() == []
    assert (world.tokens, set(world.remaining), list(storage.Client().list_buckets())) == (set(), LEFT, [])
    assert "Cloud KMS keeps its name for ever" in destroyed.text


@pytest.mark.soak  # `test_cloud_cli` keeps one, too
def test_a_site_that_is_kept(google, tmp_path):
    """Without a way out of the network, on processors, protected: nothing of it goes until it is let go.

    It is the preview of a destroy that stops it. A destroy without one begins with what is not protected.
    """
    world, program = google.world, tmp_path / "program"
    program.mkdir()
    (program / "Pulumi.yaml").write_text("name: slipway\nruntime: python\n")
    (program / "__main__.py").write_text(WITHOUT_WHEELS)
    kept = {"machines": "e2-standard-4", "spot": False, "egress": "private", "whenDone": "stay", "lifecycle": "keep"}
    engine = site(google, tmp_path, program, **kept)
    engine.up().succeeded()
    assert {"gcp:compute/route:Route", "gcp:dns/recordSet:RecordSet"} <= world.tokens
    assert "gcp:compute/routerNat:RouterNat" not in world.tokens
    before = world.read()["resources"]
    assert "protected" in engine.destroy("--skip-preview=false").failed().text
    assert world.read()["resources"] == before
    engine.config(lifecycle="cleanup")
    engine.up().succeeded()
    engine.destroy().succeeded()
    assert (engine.resources(), world.tokens, set(world.remaining) - LEFT) == ([], set(), set())
