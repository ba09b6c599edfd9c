"""The one list of alerts about a site's hosts and services; those about runs are `trainer.metrics.alerts`.

What an expression may rely on, by the targets that role `monitoring` makes of the inventory: jobs `node`, `trainer`,
`gpu`, `prometheus` and `alertmanager`; a label `host`, its name in the inventory; `slot` at trainers; and at the nodes
of trainers `store`, where the site's NAS must be mounted.
"""

import dataclasses
from collections.abc import Mapping

from trainer.metrics.alerts import RUNBOOK, Severity

NEVER_FULL = 'fstype!~"nfs4?|tmpfs|ramfs|squashfs|iso9660"'
"""File systems whose space is watched: those on a disk, each at the host that has the disk."""
FULL_RATIO = 0.05
"""How much of a disk is left when it counts as full."""
RENEWED_DAYS = 30
"""A certificate is renewed by `slipway onprem up` once it has so many days left; role `certificates` has the same."""
EXPIRY_WARNING_DAYS = 21
"""When a certificate should have been renewed: fewer than `RENEWED_DAYS`, and time enough to do it."""


@dataclasses.dataclass(frozen=True)
class SiteAlert:
    """One alert about a host or a service.

    Attributes:
        name: in CamelCase.
        summary: what has happened, in a sentence.
        help: what to do, in a sentence: the first line of its runbook.
        severity: how much it matters.
        expression: in PromQL: a series for each thing that is wrong.
        for_seconds: how long it must be wrong.
        where: labels that say what is wrong besides `host`.
    """

    name: str
    summary: str
    help: str
    severity: Severity
    expression: str
    for_seconds: int
    where: tuple[str, ...] = ()

    @property
    def runbook(self) -> str:
        """The page about it, from the repository's root."""
        return RUNBOOK.format(name=self.name)


ALERTS: tuple[SiteAlert, ...] = (
    SiteAlert(
        "HostDown",
        "The host does not answer Prometheus.",
        "Look whether it has power and a network, and log in; once it is back, its trainers go on with their runs by"
        " themselves.",
        "critical",
        'up{job="node"} == 0',
        for_seconds=300,
    ),
    SiteAlert(
        "TrainerDown",
        "A trainer of the host does not answer, and the host does.",
        "Read why the service has ended (`journalctl --unit slipway-worker@SLOT`), mend that and start it: it goes on"
        " with its run.",
        "critical",
        '(up{job="trainer"} == 0) and on (host) (up{job="node"} == 1)',
        for_seconds=300,
        where=("slot",),
    ),
    SiteAlert(
        "NasMountMissing",
        "The site's NAS is not mounted on a host that trains.",
        "Look whether the NAS is up, then mount it again (`slipway onprem up`): until then the host can neither take a"
        " run nor save one.",
        "critical",
        '(up{job="node", store!=""} == 1) unless on (host, store)'
        ' label_replace(node_filesystem_size_bytes, "store", "$1", "mountpoint", "(.*)")',
        for_seconds=300,
        where=("store",),
    ),
    SiteAlert(
        "GpuDriverDown",
        "The driver of the host's GPUs does not answer.",
        "Run `slipway onprem up`, which finds a module that does not go with its library and mends it; read the"
        " kernel's messages if that does not help.",
        "critical",
        "nvidia_smi_up == 0",
        for_seconds=300,
    ),
    SiteAlert(
        "DiskFull",
        f"A disk has less than {100 * FULL_RATIO:g} % of its space left.",
        "Make space now: on the NAS remove runs that nobody needs, elsewhere look what has grown.",
        "critical",
        f"node_filesystem_avail_bytes{{{NEVER_FULL}}} / node_filesystem_size_bytes{{{NEVER_FULL}}} < {FULL_RATIO}"
        f" and node_filesystem_readonly{{{NEVER_FULL}}} == 0",
        for_seconds=300,
        where=("mountpoint",),
    ),
    SiteAlert(
        "DiskFilling",
        "A disk is full within four days if it goes on as in the last six hours.",
        "Look what grows, and keep fewer checkpoints or remove old runs before the disk is full.",
        "warning",
        f"predict_linear(node_filesystem_avail_bytes{{{NEVER_FULL}}}[6h], 4 * 86400) < 0"
        f" and node_filesystem_avail_bytes{{{NEVER_FULL}}} / node_filesystem_size_bytes{{{NEVER_FULL}}} < 0.4"
        f" and node_filesystem_readonly{{{NEVER_FULL}}} == 0",
        for_seconds=3600,
        where=("mountpoint",),
    ),
    SiteAlert(
        "OutOfMemory",
        "The kernel has killed a process for want of memory.",
        "Look which one it was (`journalctl --dmesg --grep 'Killed process'`); if it was a training, give it less to do"
        " at once or fewer neighbours.",
        "warning",
        "increase(node_vmstat_oom_kill[10m]) > 0",
        for_seconds=0,
    ),
    SiteAlert(
        "ClockSkew",
        "The host's clock is off by more than two seconds.",
        "Look what it takes its time from (`chronyc tracking` or `timedatectl timesync-status`), and whether it can"
        " reach that.",
        "warning",
        'abs(node_time_seconds{job="node"} - timestamp(node_time_seconds{job="node"})) > 2',
        for_seconds=300,
    ),
    SiteAlert(
        "CertificateExpiring",
        f"A certificate of the host ends in less than {EXPIRY_WARNING_DAYS} days, and was not renewed.",
        f"Run `slipway onprem up`, which renews what ends within {RENEWED_DAYS} days; once it has ended, nothing on the"
        " site trusts this host.",
        "warning",
        f"slipway_certificate_expiry_timestamp_seconds - time() < {EXPIRY_WARNING_DAYS} * 86400",
        for_seconds=3600,
        where=("file",),
    ),
    SiteAlert(
        "AlertsUndelivered",
        "Alertmanager could not send what it has to say.",
        "Read its reason (`journalctl --unit prometheus-alertmanager`), and mend the address, the password or the way"
        " to the server: until then no alert reaches anybody.",
        "critical",
        "increase(alertmanager_notifications_failed_total[15m]) > 0",
        for_seconds=0,
        where=("integration",),
    ),
)
"""All of them."""

BY_NAME: Mapping[str, SiteAlert] = {alert.name: alert for alert in ALERTS}
