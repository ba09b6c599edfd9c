"""Write all dashboards into the role: `python -m infra.onprem.dashboards [FOLDER]`."""

import sys
from pathlib import Path

from infra.onprem.dashboards import PAGES, render

FOLDER = Path(__file__).parents[3] / "ansible/roles/grafana/files/dashboards"


def write(folder: Path) -> None:
    """Write each dashboard, and remove files of others."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        if path.stem not in PAGES:
            path.unlink()
    for name in PAGES:
        (folder / f"{name}.json").write_text(render(name))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
