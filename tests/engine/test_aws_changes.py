"""Sites in AWS that change, and one that is kept, under the real engine: minutes each, so `make soak` runs them."""

import pytest
from test_aws_site import mandatory, real

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

SITE = {"cloud": "aws", "region": "us-east-1", "run": "lost-sales-ppo"}


@pytest.fixture
def site(aws, tmp_path):
    """A new site's stack in an account in which nothing may stay."""
    real(aws)
    before = aws.inventory()
    engine = aws.engine(tmp_path / "stack")
    engine.config(SITE)
    yield engine
    engine.config(lifecycle="cleanup")
    engine.up().succeeded()
    engine.destroy().succeeded()
    assert engine.resources() == []
    assert aws.inventory() == before


def kinds(steps):
    return {step.type.split(":")[-1] for step in steps}


def test_a_site_that_is_kept_is_not_destroyed(site):
    site.config(lifecycle="keep", egress="private", machines="c7i.xlarge", spot=False, zones=3, whenDone="stay")
    made = site.up().succeeded()
    assert "VpcEndpoint" in kinds(made.created)
    site.up(expect_no_changes=True).succeeded()
    site.refresh(expect_no_changes=True).succeeded()
    refused = site.destroy(previewed=True).failed()
    assert "it is protected" in refused.text
    assert len(site.resources()) == len(made.created)


def test_a_site_grows_and_shrinks_and_moves(site):
    site.up().succeeded()
    site.config(seeds=3)
    grown = site.up().succeeded()
    assert "Group" in kinds(grown.created)
    assert grown.deleted == []
    site.up(expect_no_changes=True).succeeded()

    site.config(seeds=1, diskGib=200, egress="private")
    shrunk = site.up().succeeded()
    assert {"Group", "NatGateway", "Eip"} <= kinds(shrunk.deleted)
    assert "LaunchTemplate" in kinds(shrunk.updated)
    site.up(expect_no_changes=True).succeeded()

    site.config(egress="nat", cidr="10.44.0.0/18")
    moved = site.up().succeeded()
    assert {"Vpc", "Subnet"} <= kinds(moved.replaced)
    assert not kinds(moved.replaced) & {"Bucket", "Key"}
    site.up(expect_no_changes=True).succeeded()
    assert mandatory(moved) == []
