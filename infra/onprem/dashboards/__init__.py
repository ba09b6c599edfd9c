"""The site's dashboards for Grafana, made from the catalogue of metrics.

`python -m infra.onprem.dashboards` writes them where the role `grafana` finds them.
"""

import json
from collections.abc import Callable, Mapping

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.onprem.dashboards import gpu, production, site, training

PAGES: Mapping[str, Callable[[], Dashboard]] = {
    "training": training.page,
    "site": site.page,
    "gpu": gpu.page,
    "production": production.page,
}
"""All dashboards, by the names of their files."""


def render(name: str) -> str:
    """A dashboard as its file has it."""
    return json.dumps(json.loads(JSONEncoder().encode(PAGES[name]())), indent=1, sort_keys=True) + "\n"
