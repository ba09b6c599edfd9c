"""A dashboard from rows of panels: places and numbers are given here, so that no two are the same."""

from collections.abc import Sequence

from grafana_foundation_sdk.models import dashboard

from infra.onprem.dashboards.elements import COLUMNS

TAG = "slipway"
REFRESH = "30s"


class Page:
    """A dashboard that grows from the top down.

    Args:
        uid: its name in addresses: 8 to 40 characters.
        title: for people.
        description: what it answers.
        variables: what can be chosen at its top.
        hours: how much time it shows at first.
    """

    def __init__(
        self, uid: str, title: str, description: str, variables: Sequence[dashboard.VariableModel], hours: int
    ) -> None:
        self._panels: list[dashboard.Panel | dashboard.RowPanel] = []
        self._made = dashboard.Dashboard(
            uid=uid,
            title=title,
            description=description,
            tags=[TAG],
            editable=False,
            graph_tooltip=dashboard.DashboardCursorSync.CROSSHAIR,
            time=dashboard.DashboardDashboardTime(from_val=f"now-{hours}h", to="now"),
            refresh=REFRESH,
            templating=dashboard.DashboardDashboardTemplating(list_val=list(variables)),
            links=[
                dashboard.DashboardLink(
                    title="Slipway",
                    type_val=dashboard.DashboardLinkType.DASHBOARDS,
                    tags=[TAG],
                    as_dropdown=True,
                    keep_time=True,
                    icon="external link",
                )
            ],
            panels=self._panels,
        )
        self._top = 0
        self._number = 0

    def panels(self, panels: Sequence[dashboard.Panel]) -> None:
        """Panels side by side, in as many lines as they need."""
        self._panels += self._placed(panels)

    def row(self, title: str, panels: Sequence[dashboard.Panel], *, is_open: bool = True) -> None:
        """A heading with panels below it.

        Args:
            title: the heading.
            panels: in order.
            is_open: whether they are seen before someone opens the row.
        """
        heading = dashboard.RowPanel(
            title=title,
            collapsed=not is_open,
            id_val=self._next(),
            grid_pos=dashboard.GridPos(x=0, y=self._top, w=COLUMNS, h=1),
            panels=[],
        )
        self._top += 1
        placed = self._placed(panels)
        self._panels.append(heading)
        if is_open:
            self._panels += placed
        else:
            heading.panels = placed

    def build(self) -> dashboard.Dashboard:
        """The dashboard."""
        return self._made

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _placed(self, panels: Sequence[dashboard.Panel]) -> list[dashboard.Panel]:
        left = height = 0
        before: dashboard.GridPos | None = None
        for panel in panels:
            place = panel.grid_pos or dashboard.GridPos()
            if left + place.w > COLUMNS:
                _fill(before)
                self._top += height
                left = height = 0
            place.x, place.y = left, self._top
            panel.grid_pos, panel.id_val = place, self._next()
            left, height, before = left + place.w, max(height, place.h), place
        _fill(before)
        self._top += height
        return list(panels)


def _fill(last: dashboard.GridPos | None) -> None:
    """The last panel of a line takes the room that is left in it."""
    if last is not None:
        last.w = COLUMNS - last.x
