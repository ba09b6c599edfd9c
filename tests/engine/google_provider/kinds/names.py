"""Names: Cloud DNS (https://cloud.google.com/dns/docs/reference/rest/v1)."""

from collections.abc import Iterator

from google_provider.kind import Inputs, Kind, Reference, Refusal, between, labels, matching, one_of
from google_provider.kinds.common import NETWORK, OWN, PATH, PROVIDER

ZONE = "gcp:dns/managedZone:ManagedZone"

dns_name = matching(r"(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+", "a name that ends with a dot")
name = matching(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", "a small letter, then up to 62 small letters, digits and -")


def whole_zone(inputs: Inputs) -> Iterator[Refusal]:
    """https://cloud.google.com/dns/docs/zones."""
    if inputs.get("visibility") == "private" and not inputs.get("privateVisibilityConfig"):
        yield "privateVisibilityConfig", "is missing: a private zone needs networks"


KINDS = (
    Kind(
        "gcp:dns/policy:Policy",
        "dns.v1/Policy",
        "projects/{project}/policies/{name}",
        own=OWN,
        rules={"name": name},
        replaces=frozenset({"name", "project"}),
        references={"networks.networkUrl": Reference((NETWORK,), holds=True)},
    ),
    Kind(
        ZONE,
        "dns.v1/ManagedZone",
        "projects/{project}/managedZones/{name}",
        own=OWN | {"forceDestroy": PROVIDER, "reverseLookup": "a switch; the API has an empty object"},
        rules={"name": name, "dnsName": dns_name, "labels": labels},
        whole=whole_zone,
        replaces=frozenset({"dnsName", "name", "project", "visibility"}),
        defaults={"description": "Managed by Pulumi", "forceDestroy": False, "visibility": "public"},
        computed={
            "creationTime": "{now}",
            "managedZoneId": lambda facts: facts.unique % 10**15,
            "nameServers": lambda facts: [f"ns-gcp-private-{number}.googledomains.com." for number in range(4)],
        },
        references={"privateVisibilityConfig.networks.networkUrl": Reference((NETWORK,), holds=True)},
    ),
    Kind(
        "gcp:dns/recordSet:RecordSet",
        "dns.v1/ResourceRecordSet",
        "projects/{project}/managedZones/{managedZone}/rrsets/{name}/{type}",
        own=OWN | {"managedZone": PATH, "routingPolicy": "of no site: only by the SDK's types"},
        rules={
            "name": dns_name,
            "type": one_of("A", "AAAA", "ALIAS", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "IPSECKEY", "MX", "NAPTR",
                           "NS", "PTR", "SOA", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"),
            "ttl": between(0, 2**31 - 1),
        },
        one_of=(("rrdatas", "routingPolicy"),),
        replaces=frozenset({"managedZone", "name", "project"}),
        named="",
        references={"managedZone": Reference((ZONE,), holds=True)},
    ),
)  # fmt: skip
