"""Networks and machines: Compute Engine (https://cloud.google.com/compute/docs/reference/rest/v1)."""

from collections.abc import Iterator
from typing import Any

from google_provider.descriptions import cidr
from google_provider.kind import (
    EVERYTHING,
    Encryption,
    Facts,
    Inputs,
    Kind,
    Reference,
    Refusal,
    between,
    labels,
    matching,
    one_of,
)
from google_provider.kinds.common import (
    ACCOUNT,
    ADDRESS,
    COMPUTE,
    GROUP_MANAGER,
    HEALTH_CHECKS,
    NETWORK,
    OWN,
    PATH,
    PROVIDER,
    ROUTER,
    SUBNETWORK,
    TEMPLATES,
    resource_name,
)
from google_provider.places import REGIONS

region = one_of(*REGIONS)
port_range = matching(r"\d{1,5}(-\d{1,5})?", "a port or a range of ports")
protocol = matching(r"(?i)tcp|udp|icmp|esp|ah|sctp|ipip|all|\d{1,3}", "a protocol's name or number")
to_network = Reference((NETWORK,), holds=True, outsiders=r"(.*/)?default")
to_subnetwork = Reference((SUBNETWORK,), holds=True)
GLOBAL = "projects/{project}/global/"
REGIONAL = "projects/{project}/regions/{region}/"


def whole_firewall(inputs: Inputs) -> Iterator[Refusal]:
    """https://cloud.google.com/firewall/docs/using-firewalls."""
    sources = ("sourceRanges", "sourceTags", "sourceServiceAccounts")
    if inputs.get("direction") != "EGRESS":
        if not any(inputs.get(name) for name in sources):
            yield "sourceRanges", f"a rule for ingress needs one of {', '.join(sources)}"
        if inputs.get("destinationRanges") and not inputs.get("sourceRanges"):
            yield "destinationRanges", "a rule for ingress with destinations needs sourceRanges"
    else:
        yield from ((name, "a rule for egress has no sources") for name in sources[1:] if inputs.get(name))
    accounts = [name for name in ("sourceServiceAccounts", "targetServiceAccounts") if name in inputs]
    tags = [name for name in ("sourceTags", "targetTags") if name in inputs]
    if accounts and tags:
        yield tags[0], f"cannot be given with {accounts[0]}"


def whole_health_check(inputs: Inputs) -> Iterator[Refusal]:
    """https://cloud.google.com/load-balancing/docs/health-check-concepts#method."""
    if inputs.get("timeoutSec", 5) > inputs.get("checkIntervalSec", 5):
        yield "timeoutSec", f"{inputs['timeoutSec']:g} is longer than checkIntervalSec"


def whole_template(inputs: Inputs) -> Iterator[Refusal]:
    """https://cloud.google.com/compute/docs/instances/spot and .../gpus/create-vm-with-gpus."""
    scheduling = inputs.get("scheduling") or {}
    spot = scheduling.get("provisioningModel") == "SPOT" or scheduling.get("preemptible") is True
    if spot and scheduling.get("automaticRestart", True) is True:
        yield "scheduling.automaticRestart", "must be false for spot capacity"
    if spot and scheduling.get("provisioningModel") == "SPOT" and scheduling.get("preemptible") is not True:
        yield "scheduling.preemptible", "must be true for the provisioning model SPOT"
    ends = scheduling.get("instanceTerminationAction") is not None
    if ends and not spot and not scheduling.get("maxRunDuration") and not scheduling.get("terminationTime"):
        yield "scheduling.instanceTerminationAction", "needs spot capacity or a limit of the run time"
    machine = inputs.get("machineType")
    accelerated = isinstance(machine, str) and machine.partition("-")[0] in ("a2", "a3", "a4", "g2", "g4")
    if (inputs.get("guestAccelerators") or accelerated or spot) and scheduling.get("onHostMaintenance") == "MIGRATE":
        yield "scheduling.onHostMaintenance", "must be TERMINATE with GPUs and with spot capacity"
    if (inputs.get("guestAccelerators") or accelerated) and scheduling.get("onHostMaintenance") is None and not spot:
        yield "scheduling.onHostMaintenance", "must be TERMINATE with GPUs"
    disks = inputs.get("disks") or []
    if isinstance(disks, list) and sum(disk.get("boot") is not False for disk in disks[:1]) == 0:
        yield "disks", "the first disk must be the boot disk"


def whole_group(inputs: Inputs) -> Iterator[Refusal]:
    """https://cloud.google.com/compute/docs/instance-groups/rolling-out-updates-to-managed-instance-groups."""
    policy = inputs.get("updatePolicy") or {}
    zones = inputs.get("distributionPolicyZones")
    least = len(zones) if isinstance(zones, list) and zones else 3
    for name in ("maxSurgeFixed", "maxUnavailableFixed"):
        count = policy.get(name)
        if isinstance(count, (int, float)) and 0 < count < least:
            yield f"updatePolicy.{name}", f"{count:g} is neither 0 nor at least {least}, the number of zones"
    if policy.get("replacementMethod") == "RECREATE" and policy.get("maxSurgeFixed") != 0:
        yield "updatePolicy.maxSurgeFixed", "must be 0 where machines are recreated under their names"
    proactive = policy.get("instanceRedistributionType", "PROACTIVE") == "PROACTIVE"
    if inputs.get("distributionPolicyTargetShape") not in (None, "EVEN") and policy and proactive:
        yield "updatePolicy.instanceRedistributionType", "must be NONE where the target shape is not EVEN"


def machine_image(value: object) -> str | None:
    """An image's or a family's name, or the end of its link."""
    fits = matching(
        r"(https://www\.googleapis\.com/compute/v1/)?"
        r"((projects/)?[a-z0-9:.-]+/(global/images/(family/)?)?)?[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
        "an image's or a family's name or link",
    )
    return fits(value)


def fleet(facts: Facts) -> int:
    """How many machines a group is to have."""
    return int(facts.state.get("targetSize") or 0)


TEMPLATE_RENAMES = {
    "instanceDescription": "properties.description",
    "tags": "properties.tags.items",
    "guestAccelerators.count": "acceleratorCount",
    "guestAccelerators.type": "acceleratorType",
    "disks.diskEncryptionKey.kmsKeySelfLink": "kmsKeyName",
    "disks.sourceImageEncryptionKey.kmsKeySelfLink": "kmsKeyName",
    "disks.sourceSnapshotEncryptionKey.kmsKeySelfLink": "kmsKeyName",
    "disks.guestOsFeatures": "guestOsFeatures[].type",
    "reservationAffinity.type": "consumeReservationType",
    "reservationAffinity.specificReservation": "/properties.reservationAffinity",
}
TEMPLATE_OWN = {
    "metadata": "a map; the API has a list of keys and values, any text",
    "metadataStartupScript": "the provider puts it into metadata",
    "namePrefix": "the provider makes the name of it",
    "partnerMetadata": "of the beta API",
    "enableDisplay": "of the beta API",
    "networkInterfaces.subnetworkProject": "the provider makes the subnetwork's link of it",
    "scheduling.maintenanceInterval": "of the beta API",
}
TEMPLATE: dict[str, Any] = {
    "described": "compute.v1/InstanceTemplate",
    "renames": TEMPLATE_RENAMES,
    "inside": {"": ("properties",), "disks": ("initializeParams",)},
    "own": OWN | TEMPLATE_OWN,
    "rules": {
        "labels": labels,
        "tags": resource_name,
        "disks.sourceImage": machine_image,
        "disks.diskType": matching(r"pd-(standard|ssd|balanced|extreme)|hyperdisk-[a-z-]+|local-ssd", "a type of disk"),
        "disks.mode": one_of("READ_WRITE", "READ_ONLY"),
        "disks.interface": one_of("SCSI", "NVME"),
        "machineType": matching(r"[a-z][a-z0-9]*-[a-z0-9-]+", "a machine type"),
        "serviceAccount.scopes": matching(r"https://www\.googleapis\.com/auth/\S+|[a-z-]+", "a scope"),
        "networkInterfaces.subnetworkProject": matching(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project's id"),
    },
    "whole": whole_template,
    "replaces": EVERYTHING,
    "references": {
        "networkInterfaces.network": Reference((NETWORK,), outsiders=r"(.*/)?default"),
        "networkInterfaces.subnetwork": Reference((SUBNETWORK,)),
        "serviceAccount.email": Reference((ACCOUNT,), outsiders=r"default|\d+-compute@developer\.gserviceaccount\.com"),
        "disks.diskEncryptionKey.kmsKeySelfLink": Reference(("gcp:kms/cryptoKey:CryptoKey",)),
    },
}
TEMPLATE_COMPUTED = {
    "creationTimestamp": "{now}",
    "metadataFingerprint": "{unique:x}=",
    "tagsFingerprint": "{unique:x}=",
    "numericId": "{unique}",
    "name": "{namePrefix}{unique}",
    "namePrefix": "",
}

KINDS = (
    Kind(
        NETWORK,
        "compute.v1/Network",
        GLOBAL + "networks/{name}",
        inside={"": ("routingConfig",)},
        own=OWN | {"deleteDefaultRoutesOnCreate": PROVIDER, "deleteBgpAlwaysCompareMed": PROVIDER},
        rules={"mtu": between(1300, 8896)},
        replaces=frozenset({
            "autoCreateSubnetworks", "description", "internalIpv6Range", "name", "networkProfile", "params", "project",
        }),
        defaults={
            "autoCreateSubnetworks": True,
            "deleteDefaultRoutesOnCreate": False,
            "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
        },
        computed={
            "selfLink": COMPUTE + GLOBAL + "networks/{name}",
            "networkId": "{unique}",
            "numericId": "{unique}",
            "gatewayIpv4": "",
            "routingMode": "REGIONAL",
            "bgpBestPathSelectionMode": "LEGACY",
            "bgpAlwaysCompareMed": lambda facts: False,
            "bgpInterRegionCost": "",
            "internalIpv6Range": "",
            "mtu": lambda facts: 1460,
        },
    ),
    Kind(
        SUBNETWORK,
        "compute.v1/Subnetwork",
        REGIONAL + "subnetworks/{name}",
        own=OWN | {"sendSecondaryIpRangeIfEmpty": PROVIDER},
        rules={"ipCidrRange": cidr, "secondaryIpRanges.ipCidrRange": cidr, "region": region,
               "logConfig.flowSampling": between(0, 1)},
        one_of=(("ipCidrRange", "reservedInternalRange"),),
        replaces=frozenset({
            "description", "externalIpv6Prefix", "internalIpv6Prefix", "ipCollection", "name", "network", "project",
            "purpose", "region", "reservedInternalRange",
        }),
        computed={
            "selfLink": COMPUTE + REGIONAL + "subnetworks/{name}",
            "creationTimestamp": "{now}",
            "fingerprint": "{unique:x}=",
            "gatewayAddress": lambda facts: _gateway(facts.state.get("ipCidrRange")),
            "subnetworkId": lambda facts: facts.unique % 10**15,
            "region": "{region}",
            "purpose": "PRIVATE",
            "stackType": "IPV4_ONLY",
            "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
            "ipv6CidrRange": "",
            "privateIpGoogleAccess": lambda facts: False,
            "allowSubnetCidrRoutesOverlap": lambda facts: False,
            "secondaryIpRanges": lambda facts: [],
            "externalIpv6Prefix": "",
            "internalIpv6Prefix": "",
        },
        references={"network": to_network},
    ),
    Kind(
        ROUTER,
        "compute.v1/Router",
        REGIONAL + "routers/{name}",
        own=OWN,
        rules={"region": region, "bgp.asn": between(1, 2**32 - 1)},
        replaces=frozenset({"encryptedInterconnectRouter", "name", "network", "project", "region", "params"}),
        computed={
            "selfLink": COMPUTE + REGIONAL + "routers/{name}",
            "creationTimestamp": "{now}",
            "region": "{region}",
        },
        references={"network": to_network},
    ),
    Kind(
        "gcp:compute/routerNat:RouterNat",
        "compute.v1/RouterNat",
        "{project}/{region}/{router}/{name}",
        own=OWN | {"router": PATH, "region": PATH, "initialNatIps": PROVIDER},
        rules={
            "region": region,
            "name": resource_name,
            "subnetworks.sourceIpRangesToNats": one_of(
                "ALL_IP_RANGES", "LIST_OF_SECONDARY_IP_RANGES", "PRIMARY_IP_RANGE"
            ),
        },
        replaces=frozenset({"endpointTypes", "initialNatIps", "name", "project", "region", "router", "type"}),
        defaults={
            "icmpIdleTimeoutSec": 30,
            "tcpEstablishedIdleTimeoutSec": 1200,
            "tcpTimeWaitTimeoutSec": 120,
            "tcpTransitoryIdleTimeoutSec": 30,
            "udpIdleTimeoutSec": 30,
            "type": "PUBLIC",
        },
        computed={
            "region": "{region}",
            "minPortsPerVm": lambda facts: 32 if facts.state.get("enableDynamicPortAllocation") else 64,
            "enableDynamicPortAllocation": lambda facts: False,
            "enableEndpointIndependentMapping": lambda facts: False,
            "endpointTypes": lambda facts: ["ENDPOINT_TYPE_VM"],
            "autoNetworkTier": "PREMIUM",
            "natIps": lambda facts: [],
            "drainNatIps": lambda facts: [],
        },
        references={
            "router": Reference((ROUTER,)),
            "natIps": Reference((ADDRESS,), holds=True),
            "subnetworks.name": to_subnetwork,
        },
    ),
    Kind(
        "gcp:compute/firewall:Firewall",
        "compute.v1/Firewall",
        GLOBAL + "firewalls/{name}",
        renames={
            "allows": "allowed",
            "denies": "denied",
            "allows.protocol": "IPProtocol",
            "denies.protocol": "IPProtocol",
        },
        own=OWN | {"enableLogging": "deprecated: logConfig"},
        rules={
            "priority": between(0, 65535),
            "sourceRanges": cidr,
            "destinationRanges": cidr,
            "allows.protocol": protocol,
            "denies.protocol": protocol,
            "allows.ports": port_range,
            "denies.ports": port_range,
            "sourceTags": resource_name,
            "targetTags": resource_name,
        },
        one_of=(("allows", "denies"),),
        whole=whole_firewall,
        replaces=frozenset({"direction", "name", "network", "project", "params"}),
        defaults={"priority": 1000},
        computed={
            "selfLink": COMPUTE + GLOBAL + "firewalls/{name}",
            "creationTimestamp": "{now}",
            "direction": "INGRESS",
            "destinationRanges": lambda facts: ["0.0.0.0/0"] if facts.state.get("direction") == "EGRESS" else [],
        },
        references={"network": to_network},
    ),
    Kind(
        "gcp:compute/route:Route",
        "compute.v1/Route",
        GLOBAL + "routes/{name}",
        own=OWN | {"nextHopInstanceZone": PROVIDER},
        rules={"destRange": cidr, "tags": resource_name, "priority": between(0, 65535)},
        one_of=(("nextHopGateway", "nextHopInstance", "nextHopIp", "nextHopVpnTunnel", "nextHopIlb"),),
        replaces=EVERYTHING,
        defaults={"priority": 1000},
        computed={"selfLink": COMPUTE + GLOBAL + "routes/{name}", "creationTimestamp": "{now}", "nextHopNetwork": "",
                  "nextHopIp": "", "nextHopInstanceZone": ""},
        references={"network": to_network},
    ),
    Kind(
        ADDRESS,
        "compute.v1/Address",
        REGIONAL + "addresses/{name}",
        own=OWN,
        rules={"labels": labels, "region": region},
        replaces=frozenset({
            "address", "addressType", "description", "ipVersion", "name", "network", "networkTier", "prefixLength",
            "project", "purpose", "region", "subnetwork",
        }),
        defaults={"addressType": "EXTERNAL"},
        computed={
            "selfLink": COMPUTE + REGIONAL + "addresses/{name}",
            "creationTimestamp": "{now}",
            "region": "{region}",
            "address": lambda facts: f"203.0.113.{facts.unique % 254 + 1}",
            "networkTier": "PREMIUM",
            "addressId": "{unique}",
            "users": lambda facts: [],
            "labelFingerprint": "{unique:x}=",
            "prefixLength": lambda facts: 0,
            "purpose": "",
            "subnetwork": "",
        },
        references={"network": to_network, "subnetwork": to_subnetwork},
    ),
    *(
        Kind(
            token,
            id=place + "healthChecks/{name}",
            described="compute.v1/HealthCheck",
            own=OWN,
            rules={
                **({"region": region} if "regions" in place else {}),
                **{f"{each}.port": between(1, 65535) for each in
                   ("httpHealthCheck", "httpsHealthCheck", "http2HealthCheck", "tcpHealthCheck", "sslHealthCheck")},
                "checkIntervalSec": between(1, 300),
                "timeoutSec": between(1, 300),
                "healthyThreshold": between(1, 10),
                "unhealthyThreshold": between(1, 10),
            },
            one_of=((
                "httpHealthCheck", "httpsHealthCheck", "http2HealthCheck", "tcpHealthCheck", "sslHealthCheck",
                "grpcHealthCheck", "grpcTlsHealthCheck",
            ),),
            whole=whole_health_check,
            replaces=frozenset({"name", "project", *(["region"] if "regions" in place else [])}),
            defaults={"checkIntervalSec": 5, "healthyThreshold": 2, "timeoutSec": 5, "unhealthyThreshold": 2},
            computed={
                "selfLink": COMPUTE + place + "healthChecks/{name}",
                "creationTimestamp": "{now}",
                "logConfig": lambda facts: {"enable": False},
                **({"healthCheckId": lambda facts: facts.unique % 10**15} if "regions" in place else {}),
                **({"region": "{region}"} if "regions" in place else {}),
                "type": lambda facts: next(
                    (n.removesuffix("HealthCheck").upper() for n in facts.state if n.endswith("HealthCheck")), "TCP"
                ),
            },
        )
        for token, place in zip(HEALTH_CHECKS, (GLOBAL, REGIONAL), strict=True)
    ),
    Kind(
        TEMPLATES[0],
        id=GLOBAL + "instanceTemplates/{name}",
        computed=TEMPLATE_COMPUTED | {
            "selfLink": COMPUTE + GLOBAL + "instanceTemplates/{name}",
            "selfLinkUnique": COMPUTE + GLOBAL + "instanceTemplates/{name}?uniqueId={unique}",
        },
        known_as=(GLOBAL + "instanceTemplates/{name}?uniqueId={unique}",),
        **TEMPLATE,
    ),
    Kind(
        TEMPLATES[1],
        id=REGIONAL + "instanceTemplates/{name}",
        computed=TEMPLATE_COMPUTED | {
            "selfLink": COMPUTE + REGIONAL + "instanceTemplates/{name}", "region": "{region}",
        },
        **TEMPLATE,
    ),
    Kind(
        GROUP_MANAGER,
        "compute.v1/InstanceGroupManager",
        REGIONAL + "instanceGroupManagers/{name}",
        renames={
            "distributionPolicyTargetShape": "distributionPolicy.targetShape",
            "distributionPolicyZones": "distributionPolicy.zones[].zone",
            "updatePolicy.maxSurgeFixed": "maxSurge.fixed",
            "updatePolicy.maxSurgePercent": "maxSurge.percent",
            "updatePolicy.maxUnavailableFixed": "maxUnavailable.fixed",
            "updatePolicy.maxUnavailablePercent": "maxUnavailable.percent",
        },
        inside={"allInstancesConfig": ("properties",)},
        own=OWN | {
            "waitForInstances": PROVIDER,
            "waitForInstancesStatus": PROVIDER,
            "instanceFlexibilityPolicy.instanceSelections": "a list; the API has a map by name",
            "updatePolicy.minReadySec": "of the beta API",
            "statefulDisks": "a list; the API has a map by device",
            "statefulExternalIps": "a list; the API has a map by interface",
            "statefulInternalIps": "a list; the API has a map by interface",
            "params": "of the beta API",
        },
        rules={
            "region": region,
            "targetSize": between(0, 2000),
            "distributionPolicyZones": matching(r"(.*/)?[a-z]+-[a-z]+\d+-[a-z]", "a zone"),
            "autoHealingPolicies.initialDelaySec": between(0, 3600),
        },
        whole=whole_group,
        replaces=frozenset({
            "baseInstanceName", "description", "distributionPolicyZones", "name", "params", "project", "region",
        }),
        defaults={"waitForInstances": False, "waitForInstancesStatus": "STABLE"},
        computed={
            "selfLink": COMPUTE + REGIONAL + "instanceGroupManagers/{name}",
            "instanceGroup": COMPUTE + REGIONAL + "instanceGroups/{name}",
            "creationTimestamp": "{now}",
            "fingerprint": "{unique:x}=",
            "instanceGroupManagerId": lambda facts: facts.unique % 10**15,
            "region": "{region}",
            "targetSize": fleet,
            "targetStoppedSize": lambda facts: 0,
            "targetSuspendedSize": lambda facts: 0,
            "instanceLifecyclePolicy": lambda facts: {
                "defaultActionOnFailure": "REPAIR", "forceUpdateOnRepair": "NO",
                "onFailedHealthCheck": "DEFAULT_ACTION",
            },
            "standbyPolicy": lambda facts: {"initialDelaySec": 0, "mode": "MANUAL"},
            "updatePolicy": lambda facts: {
                "type": "OPPORTUNISTIC", "minimalAction": "REPLACE", "instanceRedistributionType": "PROACTIVE",
            },
            "distributionPolicyTargetShape": "EVEN",
            "distributionPolicyZones": lambda facts: [
                f"{facts.fill('{region}')}-{letter}" for letter in REGIONS.get(facts.fill("{region}"), "")[:3]
            ],
            "statuses": lambda facts: [
                {"isStable": True, "allInstancesConfigs": [], "statefuls": [], "versionTargets": [{"isReached": True}]}
            ],
        },
        references={
            "versions.instanceTemplate": Reference(TEMPLATES, holds=True),
            "autoHealingPolicies.healthCheck": Reference(HEALTH_CHECKS, holds=True),
        },
        # The disks' key is used when machines start, so the group is where it shows that nobody may.
        encryption=Encryption("disks.diskEncryptionKey.kmsKeySelfLink",
                              "service-{number}@compute-system.iam.gserviceaccount.com", "region"),
    ),
    Kind(
        "gcp:compute/regionAutoscaler:RegionAutoscaler",
        "compute.v1/Autoscaler",
        REGIONAL + "autoscalers/{name}",
        renames={
            "autoscalingPolicy.maxReplicas": "maxNumReplicas",
            "autoscalingPolicy.minReplicas": "minNumReplicas",
            "autoscalingPolicy.cooldownPeriod": "coolDownPeriodSec",
            "autoscalingPolicy.cpuUtilization.target": "utilizationTarget",
            "autoscalingPolicy.loadBalancingUtilization.target": "utilizationTarget",
            "autoscalingPolicy.metrics": "customMetricUtilizations",
            "autoscalingPolicy.metrics.name": "metric",
            "autoscalingPolicy.metrics.target": "utilizationTarget",
            "autoscalingPolicy.metrics.type": "utilizationTargetType",
        },
        own=OWN | {
            "autoscalingPolicy.scalingSchedules": "a list; the API has a map by name",
            "autoscalingPolicy.scaleDownControl": "of the beta API",
            "autoscalingPolicy.stabilizationPeriod": "of the beta API",
        },
        rules={"region": region},
        replaces=frozenset({"name", "project", "region"}),
        computed={
            "selfLink": COMPUTE + REGIONAL + "autoscalers/{name}", "creationTimestamp": "{now}", "region": "{region}",
        },
        references={"target": Reference((GROUP_MANAGER,), holds=True)},
    ),
    Kind(
        "gcp:compute/projectMetadataItem:ProjectMetadataItem",
        id="{key}",
        own=OWN | {"key": "a key of the project's metadata", "value": "any text"},
        rules={"key": matching(r"[a-zA-Z0-9_-]{1,128}", "up to 128 letters, digits, _ and -")},
        replaces=frozenset({"key", "project"}),
        named="",
    ),
)  # fmt: skip


def _gateway(range_: object) -> str:
    """The first address of a subnetwork (https://cloud.google.com/vpc/docs/subnets#unusable-ip-addresses)."""
    import ipaddress

    return str(next(ipaddress.ip_network(str(range_)).hosts())) if range_ else ""
