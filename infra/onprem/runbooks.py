"""The index of the runbooks: `python -m infra.onprem.runbooks > docs/runbooks/README.md`."""

import sys

from infra.onprem.alerts import ALERTS as SITE_ALERTS
from infra.onprem.alerts import SiteAlert
from infra.onprem.rules import ELSEWHERE
from trainer.metrics.alerts import ALERTS as RUN_ALERTS
from trainer.metrics.alerts import Alert

HEADER = """\
# Runbooks

Generated from `trainer/metrics/alerts.py` and `infra/onprem/alerts.py`
by `python -m infra.onprem.runbooks`; do not edit.

A page for each alert: what it means, how to look, how to mend it, and how to see that it is over. *critical*: a run has
ended, money is spent for nothing, or work will be lost. *warning*: look when there is time.

| Alert | Severity | Where | Meaning |
|---|---|---|---|
"""
CLOUDS, SERVERS, BOTH = "clouds", "own servers", "clouds, own servers"


def page() -> str:
    """The page, in Markdown."""
    return HEADER + "".join(map(_row, RUN_ALERTS)) + "".join(map(_row, SITE_ALERTS))


def _row(alert: Alert | SiteAlert) -> str:
    where = SERVERS if isinstance(alert, SiteAlert) else CLOUDS if alert.name in ELSEWHERE else BOTH
    return f"| [{alert.name}]({alert.name}.md) | {alert.severity} | {where} | {alert.summary} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
