"""The network: what comes in, what goes out, and that both are seen."""

import ipaddress

import gcp_site
import pytest
from gcp_site import found

NODES = f"slipway-dev-{gcp_site.RANDOM[:5]}@{gcp_site.PROJECT}.iam.gserviceaccount.com"
PRIVATE = {"egress": "private", "machines": "e2-standard-4"}


def rules(resources, way, verb):
    return {
        name: each.inputs
        for name, each in found(resources, "Firewall").items()
        if each.inputs["direction"] == way and verb in each.inputs
    }


@pytest.fixture(params=["nat", "private"])
def resources(request):
    return gcp_site.record(**(PRIVATE if request.param == "private" else {}))[0]


def test_the_subnet_is_private_reaches_googles_services_and_is_watched(resources):
    network, subnet = found(resources, "Network")["network"].inputs, found(resources, "Subnetwork")["subnet"].inputs
    assert network["autoCreateSubnetworks"] is False
    assert subnet["privateIpGoogleAccess"] is True
    assert subnet["ipCidrRange"] == "10.20.0.0/16"
    assert subnet["logConfig"] == {
        "aggregationInterval": "INTERVAL_5_SEC",
        "flowSampling": 1.0,
        "metadata": "INCLUDE_ALL_METADATA",
    }
    assert found(resources, "Policy")["dns"].inputs["enableLogging"] is True


def test_what_comes_in_comes_from_google_to_the_nodes_ssh_port(resources):
    allowed = rules(resources, "INGRESS", "allows")
    assert set(allowed) == {"ssh", "probes"}
    for rule in allowed.values():
        assert rule["allows"] == [{"protocol": "tcp", "ports": ["22"]}]
        assert rule["targetServiceAccounts"] == [NODES]
    assert allowed["ssh"]["sourceRanges"] == ["35.235.240.0/20"]
    assert allowed["probes"]["sourceRanges"] == ["35.191.0.0/16", "130.211.0.0/22"]


def test_all_else_is_denied_both_ways_and_told(resources):
    for way, ranges in (("INGRESS", "sourceRanges"), ("EGRESS", "destinationRanges")):
        [rule] = rules(resources, way, "denies").values()
        assert rule["denies"] == [{"protocol": "all"}]
        assert rule[ranges] == ["0.0.0.0/0"]
        assert rule["logConfig"] == {"metadata": "INCLUDE_ALL_METADATA"}
        assert "targetServiceAccounts" not in rule
        others = [each.get("priority", 1000) for each in rules(resources, way, "allows").values()]
        assert rule["priority"] > max(others)


def test_with_nat_nodes_reach_the_web_alone():
    resources, _ = gcp_site.record()
    [web] = rules(resources, "EGRESS", "allows").values()
    assert web["allows"] == [{"protocol": "tcp", "ports": ["80", "443"]}]
    assert web["destinationRanges"] == ["0.0.0.0/0"]
    nat = found(resources, "RouterNat")["nat"].inputs
    assert nat["sourceSubnetworkIpRangesToNat"] == "LIST_OF_SUBNETWORKS"
    assert [each["name"] for each in nat["subnetworks"]] == ["slipway-dev-subnet-id"]
    assert nat["logConfig"]["enable"] is True
    assert found(resources, "Network")["network"].inputs["deleteDefaultRoutesOnCreate"] is False


def test_without_nat_there_is_one_way_out_and_names_lead_there():
    resources, _ = gcp_site.record(**PRIVATE)
    assert not [each for each in resources if each.kind in ("Router", "RouterNat")]
    assert found(resources, "Network")["network"].inputs["deleteDefaultRoutesOnCreate"] is True
    [out] = rules(resources, "EGRESS", "allows").values()
    assert out["allows"] == [{"protocol": "tcp", "ports": ["443"]}]
    [route] = found(resources, "Route").values()
    assert out["destinationRanges"] == [route.inputs["destRange"]] == ["199.36.153.4/30"]
    zone = found(resources, "ManagedZone")["googleapis"].inputs
    assert (zone["dnsName"], zone["visibility"]) == ("googleapis.com.", "private")
    records = {each.inputs["name"]: each.inputs for each in found(resources, "RecordSet").values()}
    assert records["*.googleapis.com."]["rrdatas"] == ["restricted.googleapis.com."]
    network = ipaddress.ip_network("199.36.153.4/30")
    assert records["restricted.googleapis.com."]["rrdatas"] == [str(each) for each in network]


def test_the_network_has_the_addresses_that_are_asked_for():
    resources, _ = gcp_site.record(cidr="10.99.0.0/20")
    assert found(resources, "Subnetwork")["subnet"].inputs["ipCidrRange"] == "10.99.0.0/20"
