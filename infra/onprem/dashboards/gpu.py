"""What GPUs do: as the driver of each host tells, with or without a run, and as runs see theirs.

The driver's metrics are those that role `nvidia` has the node exporter serve.
"""

from grafana_foundation_sdk.models import dashboard, units

from infra import charts
from infra.charts import GPU, Chart
from infra.onprem.dashboards import elements, training
from infra.onprem.dashboards.elements import Bound, Query, choice, graph, listing, number
from infra.onprem.dashboards.page import Page
from trainer.metrics.catalogue import METRICS

HOSTS = 'host=~"$host"'
CHOSEN = f'{HOSTS}, gpu=~"$gpu"'
NAMED = "{{host}} GPU {{gpu}}"
HOT_CELSIUS = 85
"""About where data-centre GPUs begin to slow down; each has limits of its own (`nvidia-smi -q -d TEMPERATURE`)."""


def page() -> dashboard.Dashboard:
    """The dashboard."""
    made = Page(
        "slipway-gpu",
        "GPU",
        "What GPUs do: utilisation, memory, temperature, power. As the driver tells, and as runs see it.",
        (
            choice("host", "Host", "Which hosts are drawn.", "label_values(nvidia_smi_up, host)"),
            choice("gpu", "GPU", "Which GPUs are drawn.", f"label_values(nvidia_smi_gpu_info{{{HOSTS}}}, gpu)"),
            choice("run", "Run", "Which runs are drawn.", f"label_values({training.INFO}{{{HOSTS}}}, run_id)"),
        ),
        hours=6,
    )
    made.panels(_glance())
    made.row("As the driver tells", _driver())
    gpus = [metric for metric in METRICS if metric.name.startswith(GPU)]
    width = elements.COLUMNS // len(gpus)
    seen = [training.panel(Chart(metric, charts.thresholds(metric)), least=0, width=width) for metric in gpus]
    made.row("As runs see it", seen)
    return made.build()


def _glance() -> list[dashboard.Panel]:
    return [
        listing(
            "GPUs",
            "Each GPU that a driver has.",
            Query(f"nvidia_smi_gpu_info{{{CHOSEN}}}", NAMED),
            {"host": "Host", "gpu": "GPU", "name": "Name", "driver_version": "Driver"},
            width=8,
            height=4,
        ),
        number("Number", "GPUs of the chosen hosts.", Query(f"sum(nvidia_smi_gpus{{{HOSTS}}}) or vector(0)", "GPUs")),
        number(
            "Drivers that fail",
            "Hosts whose driver does not answer nvidia-smi.",
            Query(f"count(nvidia_smi_up{{{HOSTS}}} == 0) or vector(0)", "hosts"),
            bad=Bound(1, True),
        ),
        number(
            "Hottest",
            "The highest temperature of the chosen GPUs.",
            Query(f"max(nvidia_smi_temperature_celsius{{{CHOSEN}}})", "hottest"),
            unit=units.Celsius,
            bad=Bound(HOT_CELSIUS, True),
        ),
        number(
            "Power",
            "What the boards of the chosen GPUs draw together.",
            Query(f"sum(nvidia_smi_power_draw_watts{{{CHOSEN}}})", "all"),
            unit=units.Watt,
        ),
    ]


def _driver() -> list[dashboard.Panel]:
    return [
        graph(
            "Utilisation",
            "Share of the driver's last sampling period in which the GPU was at work.",
            [Query(f"nvidia_smi_utilization_ratio{{{CHOSEN}}}", NAMED)],
            unit=units.PercentUnit,
            least=0,
            most=1,
        ),
        graph(
            "Memory",
            "Memory that is taken, by any process; dashed what there is.",
            [
                Query(f"nvidia_smi_memory_used_bytes{{{CHOSEN}}}", NAMED),
                Query(f"nvidia_smi_memory_total_bytes{{{CHOSEN}}}", f"{NAMED} all", is_reference=True),
            ],
            unit=units.BytesIEC,
            least=0,
        ),
        graph(
            "Temperature",
            "Temperature of the GPU. The line is about where data-centre GPUs begin to slow down.",
            [Query(f"nvidia_smi_temperature_celsius{{{CHOSEN}}}", NAMED)],
            unit=units.Celsius,
            lines=[Bound(HOT_CELSIUS, True)],
            least=0,
        ),
        graph(
            "Power",
            "Power that the board draws; dashed the most that it may.",
            [
                Query(f"nvidia_smi_power_draw_watts{{{CHOSEN}}}", NAMED),
                Query(f"nvidia_smi_power_limit_watts{{{CHOSEN}}}", f"{NAMED} limit", is_reference=True),
            ],
            unit=units.Watt,
            least=0,
        ),
        graph(
            "Clocks held down",
            "How many reasons hold the clock down: power, heat, or the board's brake.",
            [Query(f"sum by (host, gpu) (nvidia_smi_slowdown{{{CHOSEN}}})", NAMED)],
            least=0,
        ),
        graph(
            "Errors of memory",
            "Errors in the GPU's life that could not be corrected. A GPU whose count grows should be looked at.",
            [Query(f'sum by (host, gpu) (nvidia_smi_ecc_errors_total{{{CHOSEN}, error!="correctable"}})', NAMED)],
            least=0,
        ),
    ]
