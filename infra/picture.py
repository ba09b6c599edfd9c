"""The picture of a site for the docs: `python -m infra.picture > docs/images/site.svg`.

Each box names its component's parts in both clouds; a test holds that every component is in it.
"""

import dataclasses
import sys
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 960, 520
STYLE = """
text { font-family: sans-serif; font-size: 13px; fill: #1f2933; }
.title { font-weight: bold; font-size: 14px; }
.small { font-size: 11.5px; fill: #52606d; }
.zone { fill: #f5f7fa; stroke: #9aa5b1; }
.inner { fill: #e3f0fb; stroke: #5b8db8; }
.box { fill: #ffffff; stroke: #52606d; }
.node { fill: #fff7e0; stroke: #c08b00; }
.flow { stroke: #334e68; stroke-width: 1.5; fill: none; marker-end: url(#head); }
"""


@dataclasses.dataclass(frozen=True)
class Box:
    """A box.

    Attributes:
        title: in bold.
        lines: below it.
        left, top, width, height: in pixels.
        style: a class of `STYLE`.
        modules: the modules of `infra.aws` and `infra.gcp` that make what it shows.
    """

    title: str
    lines: tuple[str, ...]
    left: int
    top: int
    width: int
    height: int
    style: str = "box"
    modules: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Flow:
    """An arrow with a word.

    Attributes:
        path: its corners, in pixels.
        says: the word.
        at: where the word stands.
    """

    path: tuple[tuple[int, int], ...]
    says: str
    at: tuple[int, int]


BOXES: tuple[Box, ...] = (
    Box("operator", ("slipway cloud", "pulumi up", "", "shell by Session Manager", "or Identity-Aware Proxy"),
        16, 150, 164, 124),
    Box("a region of AWS or Google Cloud", (), 208, 16, 736, 488, "zone"),
    Box("network without a way in", ("private subnets, flow logs,", "NAT or private endpoints"), 228, 52, 330, 356,
        "inner", ("network",)),
    Box("machine of run 1", ("spot or on demand, encrypted disk,", "no public address;", "trains, saves, watches"),
        250, 130, 286, 84, "node", ("compute",)),
    Box("machine of run 2", ("one group of one for each run:", "taken away, it is replaced;", "done, it goes"),
        250, 236, 286, 84, "node"),
    Box("identity", ("just what a machine does,", "on this site's things alone"), 250, 334, 286, 60, "box",
        ("identity",)),
    Box("bucket", ("runs/ and bundles/", "versioned, TLS alone, never public"), 650, 60, 272, 62, "box", ("storage",)),
    Box("key", ("encrypts bucket, disks, logs, alarms;", "rotated"), 650, 140, 272, 62, "box", ("keys",)),
    Box("logs", ("what runs and first boots say,", "kept as the lifecycle says"), 650, 220, 272, 62, "box", ("logs",)),
    Box("metrics, alarms, dashboard", ("run failed, checkpoint stale, plateau,", "GPU idle, machine lost or silent"),
        650, 300, 272, 62, "box", ("monitoring", "dashboard")),
    Box("budget", ("mails at 50, 80 and 100 %",), 650, 380, 272, 44, "box", ("budget",)),
    Box("analytics, if asked", ("runs as tables: Athena or BigQuery",), 650, 442, 272, 44, "box", ("analytics",)),
)  # fmt: skip
FLOWS: tuple[Flow, ...] = (
    Flow(((180, 190), (228, 190)), "", (0, 0)),
    Flow(((536, 150), (600, 150), (600, 90), (650, 90)), "files", (606, 84)),
    Flow(((536, 180), (612, 180), (612, 250), (650, 250)), "lines", (616, 216)),
    Flow(((536, 200), (600, 200), (600, 330), (650, 330)), "metrics", (602, 322)),
    Flow(((650, 346), (584, 346), (584, 290), (538, 290)), "AWS: if silent", (542, 362)),
)


def svg() -> str:
    """The picture."""
    return draw(BOXES, FLOWS, WIDTH, HEIGHT)


def draw(boxes: Sequence[Box], flows: Sequence[Flow], width: int, height: int) -> str:
    """A picture of boxes and arrows.

    Args:
        boxes: what lies below comes first.
        flows: over them.
        width: in pixels.
        height: in pixels.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#334e68"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    parts += [_box(each) for each in boxes]
    parts += [_flow(each) for each in flows]
    return "\n".join([*parts, "</svg>", ""])


def _box(box: Box) -> str:
    left, top = box.left + 12, box.top + 19
    lines = [f'<text class="title" x="{left}" y="{top}">{escape(box.title)}</text>']
    for number, line in enumerate(box.lines, 1):
        lines.append(f'<text class="small" x="{left}" y="{top + 16 * number}">{escape(line)}</text>')
    rect = f'<rect class="{box.style}" x="{box.left}" y="{box.top}" width="{box.width}" height="{box.height}" rx="6"/>'
    return "\n".join([rect, *lines])


def _flow(flow: Flow) -> str:
    path = " L".join(f"{x},{y}" for x, y in flow.path)
    x, y = flow.at
    word = f'<text class="small" x="{x}" y="{y}">{escape(flow.says)}</text>' if flow.says else ""
    return f'<path class="flow" d="M{path}"/>\n{word}'


if __name__ == "__main__":
    sys.stdout.write(svg())
