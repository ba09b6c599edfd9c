"""Finds out whether a run in a shared place is whole."""

import contextlib
import shutil
import tempfile
from pathlib import Path

from trainer.run.status import State
from trainer.store.journal import OBJECTS, Entry, File, Journal, Kind
from trainer.store.objects.base import Corrupt, Missing, Objects
from trainer.store.parallel import each
from trainer.store.restore import fetch
from trainer.store.verified import Verified
from trainer.store.writer import is_published


def verify(objects: Objects, run_id: str) -> Verified:
    """Fetch all that the run's last entry names, and compare it with its checksums. Nothing is kept.

    Of a finished run, the files that are laid out under their own names are compared too.

    Raises:
        Missing: if there is no such run.
        Unreachable: as it says.
        SlipwayError: if the journal makes no sense.
    """
    journal = Journal(objects, run_id)
    while True:
        found = journal.newest()
        if found is None:
            raise Missing(f"there is no run {run_id} in {objects.uri}")
        number, entry = found
        missing, wrong = _compare(objects, run_id, entry)
        if not missing or journal.last() == number:  # else a newer entry stands, and this one was removed
            break
    size = sum(file.bytes for file in entry.files.values())
    return Verified(number, len(entry.files), size, missing, wrong, _orphaned(journal))


def _compare(objects: Objects, run_id: str, entry: Entry) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is missing, and what is wrong."""
    missing, wrong = [], []
    with tempfile.TemporaryDirectory(prefix="slipway-verify-") as folder:

        def look(asked: tuple[str, File | None]) -> None:
            path, file = asked
            aside = Path(tempfile.mkdtemp(dir=folder))
            try:
                if file is not None:
                    fetch(objects, run_id, aside, (path, file))
                else:
                    objects.download(f"{run_id}/{path}", aside / "copy", entry.files[path].sha256)
            except Missing as error:
                missing.append(f"{path}: {error}")
            except Corrupt as error:
                wrong.append(f"{path}: {error}")
            finally:
                shutil.rmtree(aside)

        published = entry.kind is Kind.RELEASED and entry.state == State.FINISHED
        copies = [(path, None) for path in entry.files if published and is_published(path)]
        each(look, [*entry.files.items(), *copies])
    return tuple(sorted(missing)), tuple(sorted(wrong))


def _orphaned(journal: Journal) -> tuple[str, ...]:
    """Objects that no entry names."""
    prefix = f"{journal.run_id}/"
    found = [described.key.removeprefix(prefix) for described in journal.objects.keys(f"{prefix}{OBJECTS}/")]
    named: set[str] = set()
    for number in journal.numbers():
        with contextlib.suppress(Missing):  # removed since it was listed
            named |= journal.read(number).object_keys()
    return tuple(key for key in found if key not in named)
