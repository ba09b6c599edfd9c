"""learning.json: what has been measured, under which settings. What is there already is not trained again."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.learning.cases import Case
from trainer.config.models import RunFile
from trainer.run import files

FORMAT = 2
Entry = dict[str, Any]
"""Of one case: `settings`, `machine`, `env_steps`, `optimum`, `told`, and `seeds`, by training seed: `values` by
measure, `held_out` (a score for each held-out seed), `curve` (environment steps, and the scores in training),
`cpu_seconds`, `wall_seconds`, `load_average`; or `failed`, why there are none."""
PARTS = ("env", "agent", "budget")


def read(path: Path) -> dict[str, Entry]:
    """Entries by case name; none if the file does not exist."""
    return files.read_json(path)["cases"] if path.exists() else {}


def put(path: Path, case: Case, entry: Entry) -> None:
    """Save one case's entry, and leave the others as they are on the disk now."""
    text = files.encode({"format": FORMAT, "cases": read(path) | {case.name: entry}}).decode()
    # A list of numbers stands on one line.
    files.write(path, re.sub(r"\[[^][{}\"]*\]", lambda found: " ".join(found[0].split()), text).encode())


def settings(case: Case) -> dict[str, Any]:
    """Everything that a result hangs on, defaults included."""
    run_file = case.run_file()
    found = json.loads(json.dumps(run_file.model_dump(mode="json", include=set(PARTS))))
    if "held-out" in case.instruments:
        found["evaluation"] = _evaluation(run_file)
    return found


def same(kept: Mapping[str, Any], case: Case) -> bool:
    """Whether a result of the kept settings is a result of the case.

    A setting that did not exist yet when the result was made may have any value that is its default: settings are
    added so that the default does what was done before.
    """
    now, then = dict(_leaves(settings(case))), dict(_leaves(kept))
    chosen = dict(_leaves(case.run_file().model_dump(mode="json", include=set(PARTS), exclude_defaults=True)))
    return all(now.get(key) == value for key, value in then.items()) and all(
        key in then for key in chosen if key in now
    )


def missing(entries: Mapping[str, Entry], case: Case, seeds: Iterable[int]) -> list[int]:
    """Seeds that are still to be trained."""
    entry = entries.get(case.name)
    done = entry["seeds"] if entry is not None and same(entry["settings"], case) else {}
    return [seed for seed in seeds if str(seed) not in done]


def _evaluation(run_file: RunFile) -> dict[str, int]:
    return {"seeds": run_file.evaluation.seeds, "episodes_per_seed": run_file.evaluation.episodes_per_seed}


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and values of what is no mapping, or an empty one."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}")
    else:
        yield path, tree
