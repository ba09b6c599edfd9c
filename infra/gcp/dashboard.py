"""Where people see how the site's runs are doing: a dashboard of Cloud Monitoring."""

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_gcp as gcp

from infra import charts
from infra.charts import Chart, Section
from infra.deployment import Deployment
from infra.gcp.alert_policies import GROUP, SIZE
from infra.gcp.logs import Logs
from infra.gcp.services import Services
from infra.options import child
from trainer.metrics.catalogue import Better, Kind
from trainer.metrics.sinks.cloud_monitoring import PREFIX, RESOURCE

COLUMNS = 48
"""The most that a mosaic may have
(https://cloud.google.com/monitoring/api/ref_v3/rest/v1/projects.dashboards#mosaiclayout)."""
CHART_WIDTH, CHART_HEIGHT = 16, 14
HEADER_HEIGHT = 5
LEAST_SECONDS = 60
"""Of a period whose points become one."""

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class DashboardArgs:
    """What `Dashboard` needs.

    Attributes:
        deployment: the site.
        services: switched on before.
        logs: whose lines it shows.
        policies: full names of alert policies, whose incidents it lists.
        store: where runs are kept.
    """

    deployment: Deployment
    services: Services
    logs: Logs
    policies: Sequence[pulumi.Input[str]]
    store: pulumi.Input[str]


class Dashboard(pulumi.ComponentResource):
    """Incidents, machines, a chart for each metric that runs send, and the site's log.

    Attributes:
        url: where the console shows it.
    """

    url: pulumi.Output[str]

    def __init__(self, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:Dashboard", deployment.named("dashboard"), None, opts)
        project = deployment.settings.project
        text = pulumi.Output.all(args.logs.bucket, args.store, *args.policies).apply(
            lambda known: json.dumps(content(deployment, known[0], known[1], known[2:]))
        )
        made = gcp.monitoring.Dashboard(
            deployment.named("dashboard"),
            project=project,
            dashboard_json=text,
            opts=child(self, depends_on=args.services.enabled),
        )
        self.url = made.id.apply(
            lambda name: (
                "https://console.cloud.google.com/monitoring/dashboards/builder/"
                f"{name.rpartition('/')[2]}?project={project}"
            )
        )
        self.register_outputs({"url": self.url})


def content(deployment: Deployment, log_bucket: str, store: str, policies: Sequence[str]) -> Json:
    """The dashboard.

    What the service leaves out of its answers, zeros and the like, is left out here, too: else it would look changed.

    Args:
        deployment: the site.
        log_bucket: the full name of its log bucket.
        store: where runs are kept.
        policies: full names of its alert policies.
    """
    layout = _Layout()
    layout.row([_text(deployment, store), _incidents(policies), _machines(deployment)])
    shown = charts.sections(
        deployment.runs[0].run_file.sinks.cloud_monitoring.names, has_gpu=deployment.settings.has_gpu
    )
    for section in shown:
        layout.header(section.title)
        layout.row([_chart(deployment, each) for each in section.charts])
    layout.header("Log")
    layout.wide(_log(deployment, log_bucket))
    layout.header("What the charts show")
    layout.wide(_meanings(shown))
    return {
        "displayName": f"Slipway {deployment.stack}",
        "labels": dict(deployment.tags),
        "dashboardFilters": [{"filterType": "RESOURCE_LABEL", "labelKey": "job"}],
        "mosaicLayout": {"columns": COLUMNS, "tiles": layout.tiles},
    }


class _Layout:
    """Tiles, from the top down."""

    def __init__(self) -> None:
        self.tiles: list[Json] = []
        self._top = 0

    def header(self, title: str) -> None:
        """A line that names what follows, and is in the table of contents."""
        self._put({"title": title, "sectionHeader": {"dividerBelow": True}}, 0, COLUMNS, HEADER_HEIGHT)
        self._top += HEADER_HEIGHT

    def row(self, widgets: Sequence[Json]) -> None:
        """Widgets beside each other, and in more lines where they do not fit in one."""
        across = COLUMNS // CHART_WIDTH
        for index, widget in enumerate(widgets):
            if index and not index % across:
                self._top += CHART_HEIGHT
            self._put(widget, index % across * CHART_WIDTH, CHART_WIDTH, CHART_HEIGHT)
        self._top += CHART_HEIGHT

    def wide(self, widget: Json) -> None:
        """A widget from side to side."""
        self._put(widget, 0, COLUMNS, CHART_HEIGHT)
        self._top += CHART_HEIGHT

    def _put(self, widget: Json, left: int, width: int, height: int) -> None:
        place = {key: position for key, position in (("xPos", left), ("yPos", self._top)) if position}
        self.tiles.append({**place, "width": width, "height": height, "widget": widget})


def _chart(deployment: Deployment, chart: Chart) -> Json:
    metric = chart.metric
    interval = deployment.runs[0].run_file.sinks.cloud_monitoring.interval_seconds
    period = max(LEAST_SECONDS, math.ceil(interval / LEAST_SECONDS) * LEAST_SECONDS)
    # Each run is one series of each metric without labels: there is nothing to be added up. Where less is better, and
    # of totals, the greatest value of a period says most.
    greatest = metric.kind is Kind.COUNTER or metric.better is Better.LOWER
    names = ["${resource.labels.job}", *(f"${{metric.labels.{label}}}" for label in metric.labels)]
    found = f'metric.type="{PREFIX}{metric.name}" resource.type="{RESOURCE}"'
    drawn: Json = {
        "dataSets": [
            _lines(
                f'{found} resource.labels.namespace="{deployment.name}"',
                "ALIGN_MAX" if greatest else "ALIGN_MEAN",
                period,
                " ".join(names),
            )
        ],
        "yAxis": {"scale": "LINEAR"},
    }
    if chart.thresholds:
        drawn["thresholds"] = [{"label": each.alert.name, "value": each.value} for each in chart.thresholds]
    return {"title": chart.title, "xyChart": drawn}


def _machines(deployment: Deployment) -> Json:
    """How many machines each group has. Groups are told by their names' beginning: a filter has 2,048 characters."""
    found = f'metric.type="{SIZE}" resource.type="{GROUP}"'
    own = f'resource.labels.instance_group_name=starts_with("{deployment.name}-")'
    lines = _lines(f"{found} {own}", "ALIGN_MEAN", LEAST_SECONDS, "${resource.labels.instance_group_name}")
    return {"title": "Machines", "xyChart": {"dataSets": [lines], "yAxis": {"scale": "LINEAR"}}}


def _lines(found: str, aligner: str, period_seconds: int, legend: str) -> Json:
    return {
        "timeSeriesQuery": {
            "timeSeriesFilter": {
                "filter": found,
                "aggregation": {"alignmentPeriod": f"{period_seconds}s", "perSeriesAligner": aligner},
            }
        },
        "plotType": "LINE",
        "targetAxis": "Y1",
        "minAlignmentPeriod": f"{period_seconds}s",
        "legendTemplate": legend,
    }


def _incidents(policies: Sequence[str]) -> Json:
    """What alerts have to say; their names go without the project's."""
    names = [name.rpartition("/")[2] for name in policies]
    return {"title": "Alerts", "incidentList": {"policyNames": [f"alertPolicies/{name}" for name in names]}}


def _log(deployment: Deployment, log_bucket: str) -> Json:
    found = f'logName="projects/{deployment.settings.project}/logs/{deployment.log_name}"'
    return {"title": "Log", "logsPanel": {"filter": found, "resourceNames": [f"{log_bucket}/views/_AllLogs"]}}


def _text(deployment: Deployment, store: str) -> Json:
    runs = "".join(f"- `{run.run_id}`\n" for run in deployment.runs)
    price = f"{deployment.price_usd_per_hour:.2f} USD"
    about = f"In {deployment.settings.region}, at most {price} an hour for each machine.\n\n"
    return _markdown(f"Slipway {deployment.stack}", f"{about}Runs, in `{store}`:\n\n{runs}")


def _meanings(shown: Sequence[Section]) -> Json:
    lines = [f"- **{chart.metric.name}**: {chart.metric.help}" for section in shown for chart in section.charts]
    return _markdown("Metrics", "\n".join(lines))


def _markdown(title: str, text: str) -> Json:
    return {"title": title, "text": {"content": text, "format": "MARKDOWN"}}
