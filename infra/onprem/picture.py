"""The picture of a site on own servers: `python -m infra.onprem.picture > docs/images/onprem.svg`.

Ports come from the table, `site_ports`; a test holds that each is in it.
"""

import sys
from collections.abc import Mapping

from infra.onprem import ports
from infra.onprem.ports import Port
from infra.picture import Box, Flow, draw

WIDTH, HEIGHT = 960, 560


def svg() -> str:
    """The picture."""
    rows, _ = ports.read(ports.shipped())
    table = {row.name: row for row in rows}
    return draw(_boxes(table), _flows(table), WIDTH, HEIGHT)


def _boxes(table: Mapping[str, Port]) -> tuple[Box, ...]:
    web = [table["grafana"], table["prometheus"], table["alertmanager"]]
    return (
        Box("operator", ("slipway onprem", "ansible-playbook", "", "inventory, vault,", "the site's own CA"),
            16, 176, 150, 124),
        Box("a site: one network, all other ports closed on every host", (), 206, 16, 738, 528, "zone"),
        Box("group nas", ("one host: runs and queue", "encrypted disk (LUKS)", "backups by date"),
            640, 56, 284, 90),
        Box("group gpu", ("trainers: one run on each GPU,", "taken from the queue on the NAS;", "hardened services,",
                          f"metrics of slots at {table['trainer_metrics'].words},",
                          "those of GPUs at the node exporter"),
            640, 216, 284, 122, "node"),
        Box("group monitor", (*(f"{each.service} {each.words}" for each in web),
                              f"logs of all hosts {table['syslog'].words}",
                              f"Loki {table['loki'].words}, for itself alone"), 640, 404, 284, 122),
        Box("all hosts", ("hardened SSH, firewall, updates,", "certificates of the site's CA", "",
                          f"SSH {table['ssh'].words}, from operators", f"node exporter {table['node_exporter'].words},",
                          "from the monitor"), 240, 190, 240, 138, "inner"),
    )  # fmt: skip


def _flows(table: Mapping[str, Port]) -> tuple[Flow, ...]:
    name = {key: row.words for key, row in table.items()}
    looks = ", ".join(name[key] for key in ("grafana", "prometheus", "alertmanager"))
    return (
        Flow(((166, 238), (240, 238)), name["ssh"], (192, 230)),
        Flow(((90, 300), (90, 500), (640, 500)), f"{looks}: TLS and login", (300, 492)),
        Flow(((780, 216), (780, 146)), f"NFS {name['nfs']}, mutual TLS", (788, 172)),
        Flow(((700, 216), (700, 146)), f"or {name['stunnel_nfs']} (TLS), {name['wireguard']} (WireGuard)", (488, 176)),
        Flow(((720, 404), (720, 338)), f"{name['trainer_metrics']}", (634, 366)),
        Flow(((640, 430), (360, 430), (360, 328)), f"{name['node_exporter']}: metrics, mutual TLS", (372, 422)),
        Flow(((300, 328), (300, 464), (640, 464)), f"{name['syslog']}: logs, mutual TLS", (372, 456)),
    )  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(svg())
