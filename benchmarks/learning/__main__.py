"""The command line: trains what is missing in learning.json, and writes LEARNING.md with its plots."""

import argparse
import sys
from pathlib import Path

from benchmarks.learning import cases, curves, page, record
from trainer import backend
from trainer.errors import BadInput, ExitCode
from trainer.run import files

FOLDER = Path(__file__).parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write the page.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="cases, presets or tasks")
    parser.add_argument("--main-only", action="store_true", help="leave out what is beside a task's main table")
    parser.add_argument("--seeds", type=int, metavar="N", help="only the first N training seeds of each case")
    parser.add_argument("--list", action="store_true", help="name the cases and what is missing, and do nothing")
    parser.add_argument("--page-only", action="store_true", help="train nothing, write the page")
    parser.add_argument("--json", type=Path, default=FOLDER / "learning.json", help="where results are kept")
    parser.add_argument("--page", type=Path, default=FOLDER / "LEARNING.md", help="where the page is written")
    given = parser.parse_args(arguments)
    try:
        chosen = cases.chosen(given.only, main_only=given.main_only)
    except BadInput as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.BAD_INPUT
    if given.list:
        sys.stdout.write(listing(chosen, record.read(given.json), given.seeds))
        return ExitCode.DONE
    if not given.page_only:
        _measure(chosen, given.seeds, given.json, given.page)
    write(given.json, given.page)
    sys.stdout.write(given.page.read_text(encoding="utf-8"))
    return ExitCode.DONE


def listing(chosen: list[cases.Case], entries: dict[str, record.Entry], seeds: int | None) -> str:
    """A line for each case: its name, the processor time of a seed, and which seeds are missing."""
    lines = []
    for case in chosen:
        missing = record.missing(entries, case, case.seeds[:seeds])
        state = f"missing seeds: {', '.join(map(str, missing))}" if missing else "done"
        lines.append(f"{case.name:<40} {case.minutes:>5g} min a seed   {state}\n")
    return "".join(lines)


def write(json: Path, where: Path) -> None:
    """The page and its plots, beside it in plots/."""
    entries = record.read(json)
    files.write(where, page.page(entries, curves.write(entries, where.parent / "plots")).encode())


def _measure(chosen: list[cases.Case], seeds: int | None, json: Path, where: Path) -> None:
    backend.prepare()
    for case in chosen:
        entries = record.read(json)
        missing = record.missing(entries, case, case.seeds[:seeds])
        if not missing:
            continue
        from benchmarks.learning import training  # imports TensorFlow

        def save(entry: record.Entry, case: cases.Case = case) -> None:
            record.put(json, case, entry)
            write(json, where)

        training.train(case, missing, entries.get(case.name), save)


if __name__ == "__main__":
    sys.exit(main())
