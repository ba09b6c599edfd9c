"""The site's network: private subnets that nobody reaches from outside, and a narrow way out."""

import dataclasses
from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from infra.aws import logs
from infra.aws.account import Account
from infra.aws.policy_document import ANYBODY, allow, document, trust
from infra.aws.roles import bounded
from infra.deployment import Deployment
from infra.options import after, child
from infra.settings import NAT, SCALE_IN

ENDPOINTS = ("autoscaling", "kms", "logs", "monitoring", "ssm", "ssmmessages", "sts")
"""Services that machines reach without NAT: for logs and metrics, the end of a run, and an operator's sessions.

KMS and STS are for code of one's own that encrypts, or takes another role. S3 has a gateway, which costs nothing.
"""
HTTP, HTTPS = 80, 443
SSH, REMOTE_DESKTOP, FIRST_FREE, LAST_FREE = 22, 3389, 1024, 65_535
ANYWHERE = "0.0.0.0/0"


@dataclasses.dataclass(frozen=True)
class NetworkArgs:
    """What `Network` needs.

    Attributes:
        deployment: the site.
        account: where it is, with its zones.
        key_arn: of the key that encrypts flow logs.
    """

    deployment: Deployment
    account: Account
    key_arn: pulumi.Input[str]


class Network(pulumi.ComponentResource):
    """A VPC with a private subnet in each zone, flow logs, and no way in.

    Its default security group is emptied. The network ACL lets in what answers, and never SSH or remote desktop. With
    egress `nat` one NAT gateway serves all zones: a second would cost more than the training that it saves if a zone
    fails. With egress `private` machines reach the services in `ENDPOINTS` and S3, and nothing else.

    Attributes:
        vpc_id: the VPC.
        subnet_ids: the private subnets, by zone; ready when machines in them reach what they may.
        security_group_id: the machines' security group: nothing in, HTTPS out.
    """

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:aws:Network", name, None, opts)
        self._args, deployment = args, args.deployment
        self._blocks = list(deployment.settings.cidr.subnets(prefixlen_diff=3))  # six zones, and one for NAT
        vpc = aws.ec2.Vpc(
            deployment.named("vpc"),
            cidr_block=str(deployment.settings.cidr),
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tag("vpc"),
            opts=child(self),
        )
        self.vpc_id: pulumi.Output[str] = vpc.id
        aws.ec2.DefaultSecurityGroup(deployment.named("default"), vpc_id=vpc.id, opts=child(self))
        self._flow_logs()
        routes = aws.ec2.RouteTable(
            deployment.named("private"), vpc_id=vpc.id, tags=self._tag("private"), opts=child(self)
        )
        subnets, associations = self._private_subnets(routes)
        self._nodes = self._security_group("nodes", "Machines that train: nothing in")
        s3 = self._s3(routes)
        if deployment.settings.egress == NAT:
            public, way_out = self._nat(routes)
            self._network_acl(vpc, [*subnets, public])
            ready = [self._egress(f"port-{port}", port, cidr_ipv4=ANYWHERE).id for port in (HTTP, HTTPS)]
            ready.append(way_out.id)
        else:
            self._network_acl(vpc, subnets)
            ready = [*self._endpoints(subnets), self._egress("s3", HTTPS, prefix_list_id=s3.prefix_list_id).id]
        self.subnet_ids: Sequence[pulumi.Output[str]] = [
            after(subnet.id, association.id, s3.id, *ready)
            for subnet, association in zip(subnets, associations, strict=True)
        ]
        self.security_group_id: pulumi.Output[str] = self._nodes.id
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "subnet_ids": self.subnet_ids,
                "security_group_id": self.security_group_id,
            }
        )

    def _tag(self, what: str) -> dict[str, str]:
        """The tag that the console shows as a name."""
        return {"Name": self._args.deployment.named(what)}

    def _private_subnets(
        self, routes: aws.ec2.RouteTable
    ) -> tuple[list[aws.ec2.Subnet], list[aws.ec2.RouteTableAssociation]]:
        subnets, associations = [], []
        for index, zone in enumerate(self._args.account.zones):
            name = self._args.deployment.named(f"private-{index}")
            subnet = aws.ec2.Subnet(
                name,
                vpc_id=self.vpc_id,
                cidr_block=str(self._blocks[index]),
                availability_zone=zone,
                map_public_ip_on_launch=False,
                tags=self._tag(f"private-{index}"),
                # Which zones offer a machine type changes; a network that stands does not move after it.
                opts=child(self, ignore_changes=["availabilityZone"]),
            )
            subnets.append(subnet)
            associations.append(
                aws.ec2.RouteTableAssociation(name, subnet_id=subnet.id, route_table_id=routes.id, opts=child(self))
            )
        return subnets, associations

    def _nat(self, routes: aws.ec2.RouteTable) -> tuple[aws.ec2.Subnet, aws.ec2.Route]:
        """A NAT gateway in a subnet of its own, and the route through it."""
        named = self._args.deployment.named
        gateway = aws.ec2.InternetGateway(
            named("internet"), vpc_id=self.vpc_id, tags=self._tag("internet"), opts=child(self)
        )
        public_routes = aws.ec2.RouteTable(
            named("public"), vpc_id=self.vpc_id, tags=self._tag("public"), opts=child(self)
        )
        to_internet = aws.ec2.Route(
            named("public"),
            route_table_id=public_routes.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.id,
            opts=child(self),
        )
        public = aws.ec2.Subnet(
            named("public"),
            vpc_id=self.vpc_id,
            cidr_block=str(self._blocks[-1]),
            availability_zone=self._args.account.zones[0],
            map_public_ip_on_launch=False,
            tags=self._tag("public"),
            opts=child(self, ignore_changes=["availabilityZone"]),
        )
        association = aws.ec2.RouteTableAssociation(
            named("public"), subnet_id=public.id, route_table_id=public_routes.id, opts=child(self)
        )
        address = aws.ec2.Eip(named("nat"), domain="vpc", tags=self._tag("nat"), opts=child(self))
        nat = aws.ec2.NatGateway(
            named("nat"),
            subnet_id=public.id,
            allocation_id=address.allocation_id,
            tags=self._tag("nat"),
            # An address serves one gateway: the old one must be gone before a new one takes it.
            opts=child(self, delete_before_replace=True, depends_on=[to_internet, association]),
        )
        way_out = aws.ec2.Route(
            named("private"),
            route_table_id=routes.id,
            destination_cidr_block=ANYWHERE,
            nat_gateway_id=nat.id,
            opts=child(self),
        )
        return public, way_out

    def _s3(self, routes: aws.ec2.RouteTable) -> aws.ec2.VpcEndpoint:
        """S3's gateway: the buckets of this account; with NAT, reading elsewhere too, as packages come from S3."""
        account = self._args.account
        own = allow(
            "OwnBuckets",
            ["s3:*"],
            ["*"],
            principal=ANYBODY,
            conditions={"StringEquals": {"aws:ResourceAccount": account.account_id}},
        )
        packages = allow("Packages", ["s3:GetObject"], ["*"], principal=ANYBODY)
        nat = self._args.deployment.settings.egress == NAT
        return aws.ec2.VpcEndpoint(
            self._args.deployment.named("s3"),
            vpc_id=self.vpc_id,
            service_name=f"com.amazonaws.{account.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            policy=document(own, packages) if nat else document(own),
            tags=self._tag("s3"),
            opts=child(self),
        )

    def _endpoints(self, subnets: Sequence[aws.ec2.Subnet]) -> list[pulumi.Output[str]]:
        """Endpoints of other services for the machines alone; outputs that are there when all are."""
        account, deployment = self._args.account, self._args.deployment
        group = self._security_group("endpoints", "Endpoints of AWS services: HTTPS from the machines that train")
        way_in = aws.vpc.SecurityGroupIngressRule(
            deployment.named("endpoints"),
            security_group_id=group.id,
            referenced_security_group_id=self._nodes.id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            description="HTTPS from the machines that train",
            opts=child(self),
        )
        way_out = self._egress("endpoints", HTTPS, group_id=group.id)
        policy = document(
            allow(
                "OwnIdentities",
                ["*"],
                ["*"],
                principal=ANYBODY,
                conditions={"StringEquals": {"aws:PrincipalAccount": account.account_id}},
            )
        )
        made = [
            aws.ec2.VpcEndpoint(
                deployment.named(service),
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{account.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in subnets],
                security_group_ids=[group.id],
                policy=policy,
                tags=self._tag(service),
                opts=child(self),
            )
            for service in ENDPOINTS
            if service != "autoscaling" or deployment.settings.when_done == SCALE_IN
        ]
        return [way_in.id, way_out.id, *(endpoint.id for endpoint in made)]

    def _security_group(self, what: str, description: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            self._args.deployment.named(what),
            vpc_id=self.vpc_id,
            description=description,
            tags=self._tag(what),
            opts=child(self),
        )

    def _egress(
        self,
        what: str,
        port: int,
        *,
        cidr_ipv4: pulumi.Input[str] | None = None,
        prefix_list_id: pulumi.Input[str] | None = None,
        group_id: pulumi.Input[str] | None = None,
    ) -> aws.vpc.SecurityGroupEgressRule:
        """A way out for the machines. DNS, the time and the metadata service need none: security groups let them be."""
        return aws.vpc.SecurityGroupEgressRule(
            self._args.deployment.named(what),
            security_group_id=self._nodes.id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            cidr_ipv4=cidr_ipv4,
            prefix_list_id=prefix_list_id,
            referenced_security_group_id=group_id,
            description=f"{what}, TCP port {port}",
            opts=child(self),
        )

    def _network_acl(self, vpc: aws.ec2.Vpc, subnets: Sequence[aws.ec2.Subnet]) -> None:
        """Let into the subnets what they ask of each other, and answers, which come to high ports."""
        within = str(self._args.deployment.settings.cidr)
        ports = [
            (within, HTTP, HTTP),
            (within, HTTPS, HTTPS),
            (ANYWHERE, FIRST_FREE, REMOTE_DESKTOP - 1),
            (ANYWHERE, REMOTE_DESKTOP + 1, LAST_FREE),
        ]
        rule = aws.ec2.DefaultNetworkAclIngressArgs
        answers = [
            rule(rule_no=100 * number, action="allow", protocol="tcp", cidr_block=source, from_port=first, to_port=last)
            for number, (source, first, last) in enumerate(ports, 1)
        ]
        # "A packet is too large for the way": https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/network_mtu.html
        too_large = rule(
            rule_no=100 * (len(ports) + 1),
            action="allow",
            protocol="icmp",
            cidr_block=ANYWHERE,
            icmp_type=3,
            icmp_code=4,
            from_port=0,
            to_port=0,
        )
        aws.ec2.DefaultNetworkAcl(
            self._args.deployment.named("default"),
            default_network_acl_id=vpc.default_network_acl_id,
            subnet_ids=[subnet.id for subnet in subnets],
            ingress=[*answers, too_large],
            egress=[
                aws.ec2.DefaultNetworkAclEgressArgs(
                    rule_no=100, action="allow", protocol="-1", cidr_block=ANYWHERE, from_port=0, to_port=0
                )
            ],
            tags=self._tag("default"),
            opts=child(self),
        )

    def _flow_logs(self) -> None:
        """Who talked to whom, and who was refused.

        Source: https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
        """
        account, deployment = self._args.account, self._args.deployment
        group = logs.group(deployment, "flow", self._args.key_arn, self)
        role = bounded(
            deployment,
            "flow",
            f"Flow logs of the Slipway site {deployment.stack}",
            trust(
                "vpc-flow-logs",
                {
                    "StringEquals": {"aws:SourceAccount": account.account_id},
                    "ArnLike": {"aws:SourceArn": account.arn("ec2", "vpc-flow-log/*")},
                },
            ),
            document(
                allow(
                    "Write",
                    ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                    [pulumi.Output.concat(group.arn, ":*")],
                ),
                allow("Find", ["logs:DescribeLogGroups"], [account.arn("logs", "log-group:*")]),
            ),
            self,
        )
        aws.ec2.FlowLog(
            deployment.named("vpc"),
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            opts=child(self),
        )
