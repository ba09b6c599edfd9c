"""The network of a site in AWS, as a program asks for it."""

import ipaddress

import aws_site
import pulumi
import pulumi_aws as aws
import pytest
from recording import UNKNOWN

from infra.aws import account, network
from trainer.errors import BadInput

CPU = {"machines": "c7i.large"}
PRIVATE = {**CPU, "egress": "private"}


@pytest.fixture(scope="module", params=["nat", "private"])
def each(request):
    return aws_site.seen(**CPU, egress=request.param)


@pytest.fixture(scope="module")
def nat():
    return aws_site.seen(**CPU)


@pytest.fixture(scope="module")
def private():
    return aws_site.seen(**PRIVATE)


def alone(answers=None, **more):
    """The network by itself, which takes no bundles."""
    plan = aws_site.planned(**CPU, **more)

    def program():
        provider = aws.Provider("aws", region=aws_site.REGION)
        args = network.NetworkArgs(plan, account.look_up(plan, provider), aws_site.arn("kms", "key/a"))
        network.Network("network", args, pulumi.ResourceOptions(provider=provider))

    return aws_site.recorded(program, answers=answers)


def subnets(site, what="private"):
    return [found for found in site.all("Subnet") if f"-{what}" in found.name]


def test_machines_stand_in_private_subnets_of_zones_that_have_them(each):
    found = subnets(each)
    assert [subnet.inputs["availabilityZone"] for subnet in found] == ["us-east-1a", "us-east-1b"]
    routes = each.one("RouteTable", "private")
    joined = {
        join.inputs["subnetId"]: join.inputs["routeTableId"]
        for join in each.all("RouteTableAssociation")
        if "private" in join.name
    }
    assert joined == {f"{subnet.name}-id": f"{routes.name}-id" for subnet in found}
    assert each.one("Group").inputs["vpcZoneIdentifiers"] == [f"{subnet.name}-id" for subnet in found]
    assert all(subnet.inputs["mapPublicIpOnLaunch"] is False for subnet in each.all("Subnet"))


@pytest.mark.parametrize("zones", ["2", "6"])
@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "192.168.4.0/22"])
def test_subnets_divide_the_network(zones, cidr):
    offered = {"aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": {"locations": aws_site.ZONES}}
    site = alone(zones=zones, cidr=cidr, answers=offered)
    blocks = [ipaddress.IPv4Network(subnet.inputs["cidrBlock"]) for subnet in site.all("Subnet")]
    assert len(blocks) == int(zones) + 1
    assert all(block.subnet_of(ipaddress.IPv4Network(cidr)) for block in blocks)
    assert not any(one.overlaps(two) for one in blocks for two in blocks if one is not two)
    assert min(block.num_addresses for block in blocks) >= 128  # AWS takes five of them
    assert site.one("Vpc").inputs["cidrBlock"] == cidr


def test_another_zone_leaves_the_others_where_they_are():
    two, three = (alone(zones=zones) for zones in ("2", "3"))
    assert [subnet.inputs for subnet in subnets(two)] == [subnet.inputs for subnet in subnets(three)][:2]


def test_a_zone_that_lacks_the_machines_is_passed_over_if_it_can_be():
    zones = [subnet.inputs["availabilityZone"] for subnet in subnets(alone(zones="5"))]
    assert zones == [zone for zone in aws_site.ZONES if zone != aws_site.WITHOUT_MACHINES]
    assert len(subnets(alone(zones="6"))) == 6


def test_subnets_stay_when_machine_types_come_to_other_zones(each):
    assert all(subnet.ignore_changes == ["availabilityZone"] for subnet in each.all("Subnet"))


def test_too_few_zones_are_said_before_anything_is_made():
    answers = {"aws:index/getAvailabilityZones:getAvailabilityZones": {"names": aws_site.ZONES[:3]}}
    with pytest.raises(BadInput, match=r"(?s)slipway:zones: 4 is not allowed.*at most 3 in us-east-1"):
        alone(zones="4", answers=answers)


def test_nobody_comes_in(each):
    ingress = each.all("SecurityGroupIngressRule")
    assert all("referencedSecurityGroupId" in rule.inputs for rule in ingress)
    nodes = f"{each.one('SecurityGroup', 'nodes').name}-id"
    assert all(rule.inputs["securityGroupId"] != nodes for rule in ingress)
    assert not any({"ingress", "egress"} & group.inputs.keys() for group in each.all("SecurityGroup"))
    emptied = each.one("DefaultSecurityGroup")
    assert not {"ingress", "egress"} & emptied.inputs.keys()
    assert emptied.inputs["vpcId"] == f"{each.one('Vpc').name}-id"


def test_answers_come_in_and_nothing_that_a_person_would_use(each):
    acl = each.one("DefaultNetworkAcl")
    assert set(acl.inputs["subnetIds"]) == {f"{subnet.name}-id" for subnet in each.all("Subnet")}
    within = each.one("Vpc").inputs["cidrBlock"]

    def lets_in(source, port):
        return any(
            rule["action"] == "allow" and rule["cidrBlock"] == source and rule["fromPort"] <= port <= rule["toPort"]
            for rule in acl.inputs["ingress"]
            if rule["protocol"] == "tcp"
        )

    (other,) = [rule for rule in acl.inputs["ingress"] if rule["protocol"] != "tcp"]
    assert (other["protocol"], other["icmpType"], other["icmpCode"]) == ("icmp", 3, 4)
    assert not [port for port in (22, 80, 443, 3389) if lets_in("0.0.0.0/0", port)]
    assert all(lets_in("0.0.0.0/0", port) for port in (1024, 3388, 3390, 32_768, 65_535))
    assert lets_in(within, 443)
    assert len({rule["ruleNo"] for rule in acl.inputs["ingress"]}) == len(acl.inputs["ingress"])


def egress(site):
    rules = site.all("SecurityGroupEgressRule")
    assert {rule.inputs["ipProtocol"] for rule in rules} == {"tcp"}
    assert all(rule.inputs["fromPort"] == rule.inputs["toPort"] for rule in rules)
    keys = ("cidrIpv4", "prefixListId", "referencedSecurityGroupId")
    return {(rule.inputs["toPort"], *[rule.inputs.get(key) for key in keys]) for rule in rules}


def test_with_nat_machines_reach_the_web_through_one_gateway(nat):
    assert egress(nat) == {(80, "0.0.0.0/0", None, None), (443, "0.0.0.0/0", None, None)}
    gateway = nat.one("NatGateway")
    assert gateway.delete_before_replace  # its address serves one gateway
    assert gateway.inputs["allocationId"] == "eipalloc-0123456789abcdef0"
    assert gateway.inputs["subnetId"] == f"{nat.one('Subnet', 'public').name}-id"
    ways = {route.inputs["routeTableId"]: route.inputs for route in nat.all("Route")}
    assert {found["destinationCidrBlock"] for found in ways.values()} == {"0.0.0.0/0"}
    assert ways[f"{nat.one('RouteTable', 'private').name}-id"]["natGatewayId"] == f"{gateway.name}-id"
    assert ways[f"{nat.one('RouteTable', 'public').name}-id"]["gatewayId"] == f"{nat.one('InternetGateway').name}-id"
    assert [found.inputs["vpcEndpointType"] for found in nat.all("VpcEndpoint")] == ["Gateway"]


def test_the_gateway_begins_when_it_reaches_the_internet(nat):
    needed = " ".join(nat.one("NatGateway").dependencies)
    assert "aws:ec2/route:Route::slipway-dev-public" in needed
    assert "RouteTableAssociation::slipway-dev-public" in needed


def test_machines_start_when_they_reach_what_they_may(nat, private):
    def waits_for(site):
        urns = site.one("Group").refers_to["vpcZoneIdentifiers"]
        return {urn.rsplit("$", 1)[-1] for urn in urns}

    assert "aws:ec2/route:Route::slipway-dev-private" in waits_for(nat)
    assert {f"aws:ec2/vpcEndpoint:VpcEndpoint::slipway-dev-{name}" for name in ("s3", *network.ENDPOINTS)} <= waits_for(
        private
    )


def test_a_private_site_has_no_way_to_the_internet(private):
    for kind in ("NatGateway", "InternetGateway", "Eip", "Route"):
        assert private.all(kind) == []
    endpoints = f"{private.one('SecurityGroup', 'endpoints').name}-id"
    assert egress(private) == {(443, None, None, endpoints), (443, None, "pl-63a5400a", None)}


def test_a_private_site_reaches_what_its_machines_ask(private):
    found = {
        endpoint.inputs["serviceName"].removeprefix("com.amazonaws.us-east-1."): endpoint.inputs
        for endpoint in private.all("VpcEndpoint")
    }
    # What is asked of them: tests of permissions record it.
    assert {"s3", "logs", "monitoring", "autoscaling", "ssm", "ssmmessages"} <= found.keys()
    assert found.keys() == {"s3", *network.ENDPOINTS}
    for service in network.ENDPOINTS:
        given = found[service]
        assert (given["vpcEndpointType"], given["privateDnsEnabled"]) == ("Interface", True)
        assert given["subnetIds"] == [f"{subnet.name}-id" for subnet in subnets(private)]
        assert given["securityGroupIds"] == [f"{private.one('SecurityGroup', 'endpoints').name}-id"]
    (way_in,) = private.all("SecurityGroupIngressRule")
    assert way_in.inputs["securityGroupId"] == f"{private.one('SecurityGroup', 'endpoints').name}-id"
    assert way_in.inputs["referencedSecurityGroupId"] == f"{private.one('SecurityGroup', 'nodes').name}-id"
    assert (way_in.inputs["fromPort"], way_in.inputs["toPort"]) == (443, 443)


def test_machines_that_stay_do_not_ask_auto_scaling():
    site = alone(egress="private", whenDone="stay")
    assert "slipway-dev-autoscaling" not in {endpoint.name for endpoint in site.all("VpcEndpoint")}


@pytest.mark.parametrize(("egress", "names"), [("nat", {"OwnBuckets", "Packages"}), ("private", {"OwnBuckets"})])
def test_what_goes_through_an_endpoint_is_the_accounts_own(egress, names):
    site = aws_site.seen(**CPU, egress=egress)
    s3 = site.statements("VpcEndpoint", "s3")
    assert s3.keys() == names
    assert s3["OwnBuckets"]["Condition"] == {"StringEquals": {"aws:ResourceAccount": aws_site.ACCOUNT}}
    for endpoint in site.all("VpcEndpoint"):
        if endpoint.inputs["vpcEndpointType"] == "Interface":
            (only,) = site.statements("VpcEndpoint", endpoint.name.removeprefix("slipway-dev-")).values()
            assert only["Condition"] == {"StringEquals": {"aws:PrincipalAccount": aws_site.ACCOUNT}}


def test_who_talks_to_whom_is_logged(each):
    flow = each.one("FlowLog").inputs
    assert (flow["trafficType"], flow["logDestinationType"]) == ("ALL", "cloud-watch-logs")
    assert flow["vpcId"] == f"{each.one('Vpc').name}-id"
    assert flow["logDestination"] == aws_site.arn("logs", "log-group:/slipway/dev/flow-1")
    trust = each.statements("Role", "flow", "assumeRolePolicy")["Trust"]
    assert trust["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": aws_site.ACCOUNT}


def test_a_preview_knows_no_outputs():
    previewed = aws_site.seen(**CPU, preview=True)
    assert previewed.one("FlowLog").inputs["logDestination"] is UNKNOWN
    assert previewed.one("FlowLog").inputs["trafficType"] == "ALL"
