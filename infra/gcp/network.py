"""The nodes' network: no way in from outside, and out only as far as is needed."""

import dataclasses
from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from infra.deployment import Deployment
from infra.gcp.identity import Identity
from infra.gcp.services import Services
from infra.options import child, value
from infra.settings import NAT

ANYWHERE = "0.0.0.0/0"
IAP_RANGE = "35.235.240.0/20"
"""Where Identity-Aware Proxy comes from (https://cloud.google.com/iap/docs/using-tcp-forwarding)."""
PROBE_RANGES = ("35.191.0.0/16", "130.211.0.0/22")
"""Where health checks come from (https://cloud.google.com/load-balancing/docs/health-check-concepts#ip-ranges)."""
GOOGLE_RANGE = "199.36.153.4/30"
GOOGLE_ADDRESSES = tuple(f"199.36.153.{last}" for last in range(4, 8))
"""restricted.googleapis.com: the services that VPC Service Controls know, all of a node's among them, and no others
(https://cloud.google.com/vpc/docs/configure-private-google-access)."""
SSH_PORT, HTTPS_PORT, HTTP_PORT = "22", "443", "80"
LAST = 65534
"""The priority of what holds where nothing else does: implied rules have 65535, and say nothing in the logs."""
DNS_SECONDS = 300
LOGGED = "INCLUDE_ALL_METADATA"


@dataclasses.dataclass(frozen=True)
class NetworkArgs:
    """What a network needs.

    Attributes:
        deployment: the site.
        services: switched on before.
        identity: whose machines the rules are for.
    """

    deployment: Deployment
    services: Services
    identity: Identity


class Network(pulumi.ComponentResource):
    """A network of one private subnet.

    Nothing comes in but SSH by Identity-Aware Proxy and Google's health checks, both to the nodes' SSH port. Out goes
    the web through Cloud NAT (packages: apt's servers speak plain HTTP, and sign what they send), or, for
    `egress: private`, Google's own services alone. The metadata server, which is the nodes' name server and clock
    too, is always reached (https://cloud.google.com/firewall/docs/firewalls#alwaysallowed).

    Attributes:
        network_id: the network's full name.
        subnet_id: the subnet's.
        subnet_name: its short name, as logs have it.
        name: the network's short name, as logs have it.
        nat_name: of Cloud NAT; None without.
    """

    network_id: pulumi.Output[str]
    subnet_id: pulumi.Output[str]
    subnet_name: pulumi.Output[str]
    name: pulumi.Output[str]
    nat_name: pulumi.Output[str] | None

    def __init__(self, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:Network", deployment.named("network"), None, opts)
        settings = deployment.settings
        self._args = args
        has_nat = settings.egress == NAT
        network = gcp.compute.Network(
            deployment.named("network"),
            project=settings.project,
            auto_create_subnetworks=False,
            routing_mode="REGIONAL",
            delete_default_routes_on_create=not has_nat,
            opts=child(self, depends_on=args.services.enabled),
        )
        subnet = gcp.compute.Subnetwork(
            deployment.named("subnet"),
            project=settings.project,
            network=network.id,
            region=settings.region,
            ip_cidr_range=value(deployment, "cidr"),
            stack_type="IPV4_ONLY",
            private_ip_google_access=True,
            log_config={
                "aggregation_interval": "INTERVAL_5_SEC",
                "flow_sampling": 1.0,
                "metadata": LOGGED,
            },
            opts=child(self),
        )
        self.network_id, self.subnet_id, self.subnet_name = network.id, subnet.id, subnet.name
        self.name, self.nat_name = network.name, None
        gcp.dns.Policy(
            deployment.named("dns"),
            project=settings.project,
            description="Says in the logs what names the nodes ask for.",
            enable_logging=True,
            enable_inbound_forwarding=False,
            networks=[{"network_url": network.id}],
            opts=child(self),
        )
        self._come_in("ssh", "People's shells, by Identity-Aware Proxy.", [IAP_RANGE], logged=True)
        self._come_in("probes", "Health checks of the nodes.", PROBE_RANGES, logged=False)
        self._last("deny-in", "Nothing else comes in.", "INGRESS")
        if has_nat:
            self._nat(subnet)
            self._go_out("web", "Packages, and Google's services.", ANYWHERE, [HTTP_PORT, HTTPS_PORT])
        else:
            self._private()
            self._go_out("google", "Google's services.", GOOGLE_RANGE, [HTTPS_PORT])
        self._last("deny-out", "Nothing else goes out.", "EGRESS")
        self.register_outputs({"networkId": self.network_id, "subnetId": self.subnet_id})

    def _come_in(self, what: str, description: str, ranges: Sequence[str], *, logged: bool) -> None:
        """Who reaches the nodes' SSH port. All that passes is in flow logs; people's visits in the firewall's, too."""
        gcp.compute.Firewall(
            self._args.deployment.named(what),
            project=self._args.deployment.settings.project,
            network=self.network_id,
            description=description,
            direction="INGRESS",
            allows=[{"protocol": "tcp", "ports": [SSH_PORT]}],
            source_ranges=ranges,
            target_service_accounts=[self._args.identity.email],
            log_config={"metadata": LOGGED} if logged else None,
            opts=child(self),
        )

    def _go_out(self, what: str, description: str, to: str, ports: Sequence[str]) -> None:
        """Where nodes may go."""
        gcp.compute.Firewall(
            self._args.deployment.named(what),
            project=self._args.deployment.settings.project,
            network=self.network_id,
            description=description,
            direction="EGRESS",
            allows=[{"protocol": "tcp", "ports": ports}],
            destination_ranges=[to],
            target_service_accounts=[self._args.identity.email],
            opts=child(self),
        )

    def _last(self, what: str, description: str, way: str) -> None:
        """That nothing else passes, whatever machine it is."""
        gcp.compute.Firewall(
            self._args.deployment.named(what),
            project=self._args.deployment.settings.project,
            network=self.network_id,
            description=description,
            direction=way,
            denies=[{"protocol": "all"}],
            priority=LAST,
            source_ranges=[ANYWHERE] if way == "INGRESS" else None,
            destination_ranges=[ANYWHERE] if way == "EGRESS" else None,
            log_config={"metadata": LOGGED},
            opts=child(self),
        )

    def _nat(self, subnet: gcp.compute.Subnetwork) -> None:
        deployment = self._args.deployment
        project, region = deployment.settings.project, deployment.settings.region
        router = gcp.compute.Router(
            deployment.named("router"), project=project, region=region, network=self.network_id, opts=child(self)
        )
        nat = gcp.compute.RouterNat(
            deployment.named("nat"),
            project=project,
            region=region,
            router=router.name,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="LIST_OF_SUBNETWORKS",
            subnetworks=[{"name": subnet.id, "source_ip_ranges_to_nats": ["ALL_IP_RANGES"]}],
            log_config={"enable": True, "filter": "ERRORS_ONLY"},
            opts=child(self),
        )
        self.nat_name = nat.name

    def _private(self) -> None:
        """The one way out, and names that lead there."""
        deployment = self._args.deployment
        project = deployment.settings.project
        gcp.compute.Route(
            deployment.named("to-google"),
            project=project,
            network=self.network_id,
            description="Addresses of Google's services; they do not leave Google's network.",
            dest_range=GOOGLE_RANGE,
            next_hop_gateway="default-internet-gateway",
            opts=child(self),
        )
        zone = gcp.dns.ManagedZone(
            deployment.named("googleapis"),
            project=project,
            dns_name="googleapis.com.",
            description="Leads to the services that can be reached.",
            visibility="private",
            private_visibility_config={"networks": [{"network_url": self.network_id}]},
            labels=deployment.tags,
            opts=child(self),
        )
        for what, name, kind, found in (
            ("google-addresses", "restricted.googleapis.com.", "A", list(GOOGLE_ADDRESSES)),
            ("google-names", "*.googleapis.com.", "CNAME", ["restricted.googleapis.com."]),
        ):
            gcp.dns.RecordSet(
                deployment.named(what),
                project=project,
                managed_zone=zone.name,
                name=name,
                type=kind,
                ttl=DNS_SECONDS,
                rrdatas=found,
                opts=child(self),
            )
