"""The site at a glance: hosts, alerts, the queue and its slots, and what processors, memory, disks and networks do."""

from grafana_foundation_sdk.models import dashboard, units

from infra.onprem.alerts import EXPIRY_WARNING_DAYS, FULL_RATIO, RENEWED_DAYS
from infra.onprem.dashboards.elements import GREEN, RED, Bound, Query, choice, graph, listing, number, states
from infra.onprem.dashboards.page import Page

CHOSEN = 'host=~"$host"'
DISKS = f'{CHOSEN}, fstype!~"nfs4?|tmpfs|ramfs|squashfs|iso9660|overlay"'
"""File systems on disks, each at the host that has the disk: the NAS's volume at the NAS."""
SILENT_SECONDS = 120
"""A worker reads the queue every few seconds."""


def page() -> dashboard.Dashboard:
    """The dashboard."""
    made = Page(
        "slipway-site",
        "Site",
        "The site at a glance: hosts, alerts, queue and slots, processors, memory, disks and networks.",
        (choice("host", "Host", "Which hosts are drawn.", 'label_values(up{job="node"}, host)'),),
        hours=6,
    )
    made.panels(_glance())
    made.panels([_alerts(), _targets()])
    made.row("Queue and slots", _queue())
    made.row("Hosts", _hosts())
    return made.build()


def _glance() -> list[dashboard.Panel]:
    return [
        number(
            "Hosts up",
            "Hosts of the site whose node exporter answers.",
            Query('count(up{job="node"} == 1) or vector(0)', "up"),
        ),
        number(
            "Hosts down",
            "Hosts of the site whose node exporter does not answer.",
            Query('count(up{job="node"} == 0) or vector(0)', "down"),
            bad=Bound(1, True),
        ),
        number(
            "Alerts",
            "How many alerts fire now.",
            Query('count(ALERTS{alertstate="firing"}) or vector(0)', "alerts"),
            bad=Bound(1, True),
        ),
        number(
            "Runs queued",
            "Entries of the queue that wait for a slot.",
            Query('max(rl_queue_runs{state="queued"}) or vector(0)', "queued"),
        ),
        number(
            "Slots at work",
            "Slots whose worker trains a run.",
            Query('sum(rl_worker_state{state="running"}) or vector(0)', "slots"),
        ),
        number(
            "Next certificate ends in",
            "The least time that a certificate of the site has left. `slipway onprem up` renews what has less than"
            f" {RENEWED_DAYS} days.",
            Query("min(slipway_certificate_expiry_timestamp_seconds) - time()", "least"),
            unit=units.Seconds,
            bad=Bound(EXPIRY_WARNING_DAYS * 86400, False),
        ),
    ]


def _alerts() -> dashboard.Panel:
    return listing(
        "Alerts that fire",
        "Each has a runbook, in docs/runbooks.",
        Query('ALERTS{alertstate="firing"}', "{{alertname}}"),
        {"alertname": "Alert", "severity": "Severity", "host": "Host", "run_id": "Run"},
        no_value="No alert fires.",
    )


def _targets() -> dashboard.Panel:
    return states(
        "What Prometheus reaches",
        "Each service that gives metrics. A slot answers while its worker runs.",
        Query(f"up{{{CHOSEN}}}", "{{host}} {{job}} {{slot}}"),
        {1: ("up", GREEN), 0: ("down", RED)},
    )


def _queue() -> list[dashboard.Panel]:
    return [
        graph(
            "Runs in the queue",
            "Entries of the queue that are not over, by state.",
            [Query("max by (state) (rl_queue_runs)", "{{state}}")],
            least=0,
        ),
        graph(
            "Slots",
            "What workers do: idle (nothing is queued for them), running, drained (they take nothing), stopping.",
            [Query(f"sum by (state) (rl_worker_state{{{CHOSEN}}})", "{{state}}")],
            stacked=True,
            least=0,
        ),
        graph(
            "Runs that ended",
            "Entries of the queue that the workers have brought to an end since they started, by how they ended.",
            [Query(f"sum by (state) (rl_worker_ended_runs_total{{{CHOSEN}}})", "{{state}}")],
            least=0,
        ),
        graph(
            "Since the queue was read",
            "How long ago each worker last read the queue. It grows while the NAS does not answer.",
            [Query(f"time() - rl_worker_look_timestamp_seconds{{{CHOSEN}}}", "{{host}} {{slot}}")],
            unit=units.Seconds,
            lines=[Bound(SILENT_SECONDS, True)],
            least=0,
        ),
    ]


def _hosts() -> list[dashboard.Panel]:
    idle = f'node_cpu_seconds_total{{{CHOSEN}, mode="idle"}}'
    network = f'{{{CHOSEN}, device!~"lo|veth.*"}}[$__rate_interval]'
    return [
        graph(
            "Processors",
            "Share of all processors' time that was not idle.",
            [
                Query(
                    f"1 - avg by (host) (rate({idle}[$__rate_interval]))",
                    "{{host}}",
                )
            ],
            unit=units.PercentUnit,
            least=0,
            most=1,
        ),
        graph(
            "Memory",
            "Share of the memory that no program could be given any more.",
            [
                Query(
                    f"1 - node_memory_MemAvailable_bytes{{{CHOSEN}}} / node_memory_MemTotal_bytes{{{CHOSEN}}}",
                    "{{host}}",
                )
            ],
            unit=units.PercentUnit,
            least=0,
            most=1,
        ),
        graph(
            "Free space, share",
            "Share of each disk that is free; the NAS's volume is drawn at the NAS. The line is where the alert"
            " DiskFull begins.",
            [
                Query(
                    f"node_filesystem_avail_bytes{{{DISKS}}} / node_filesystem_size_bytes{{{DISKS}}}",
                    "{{host}} {{mountpoint}}",
                )
            ],
            unit=units.PercentUnit,
            lines=[Bound(FULL_RATIO, False)],
            least=0,
            most=1,
        ),
        graph(
            "Free space",
            "Space that is free on each disk; the NAS's volume is drawn at the NAS.",
            [Query(f"node_filesystem_avail_bytes{{{DISKS}}}", "{{host}} {{mountpoint}}")],
            unit=units.BytesIEC,
            least=0,
        ),
        graph(
            "Network",
            "What each host receives and sends, loopback left out.",
            [
                Query(f"sum by (host) (rate(node_network_receive_bytes_total{network}))", "{{host}} in"),
                Query(f"sum by (host) (rate(node_network_transmit_bytes_total{network}))", "{{host}} out"),
            ],
            unit=units.BytesPerSecondIEC,
            least=0,
        ),
        graph(
            "Load",
            "Mean number of processes that run or wait, over five minutes, for each processor: above 1 some wait.",
            [
                Query(
                    f"node_load5{{{CHOSEN}}} / on (host) count by (host) ({idle})",
                    "{{host}}",
                )
            ],
            least=0,
        ),
    ]
