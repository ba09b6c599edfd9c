"""A run by the store that holds it and its id there."""

import dataclasses
from pathlib import Path

from trainer.errors import BadInput, nearest
from trainer.store import SHARED, resolve
from trainer.store.base import Store
from trainer.store.local import LocalStore, holds_run


@dataclasses.dataclass(frozen=True)
class Located:
    """A run, or a group of runs.

    Attributes:
        store: where it is.
        run_id: its id there.
    """

    store: Store
    run_id: str

    @property
    def shown(self) -> str:
        """What people write to mean it: its folder, or its address."""
        return f"{self.store.uri}/{self.run_id}" if self.store.is_shared else str(self.folder)

    @property
    def folder(self) -> Path:
        """The folder of this machine that it is worked on in."""
        return self.store.folder(self.run_id)


def locate(run: str, store: str) -> Located:
    """The run that a person means.

    Args:
        run: its path, its address (`s3://BUCKET/PREFIX/RUN`), or its id in the store.
        store: the store's URI.

    Raises:
        BadInput: if there is none.
    """
    if run.split("://")[0].lower() in (*SHARED, "file") and "://" in run:
        return _at_address(run)
    if run and holds_run(Path(run)):
        folder = Path(run) if Path(run).name not in ("", "..") else Path(run).resolve()
        return Located(LocalStore(folder.parent, str(folder.parent)), folder.name)
    place = resolve(store)
    if run and place.holds(run):
        return Located(place, run)
    if ":" in run:
        resolve(run)  # an address with a typo in its scheme is refused by what it should be
    near = nearest(run, place.run_ids())
    cure = f"write {near}" if near else "see `slipway runs list`, and --store if runs are elsewhere"
    raise BadInput("RUN", run, f"a run directory, or the id of a run in the store {store}", cure)


def _at_address(address: str) -> Located:
    """The run, or the member of a group, at the end of an address."""
    parts = address.rstrip("/").split("/")
    for cut in (1, 2):  # RUN, or GROUP/RUN
        place, run_id = "/".join(parts[:-cut]), "/".join(parts[-cut:])
        if len(parts) - cut > 2:
            store = resolve(place)
            if store.holds(run_id):
                return Located(store, run_id)
    raise BadInput("RUN", address, "the address of a run", f"see `slipway runs list --store {'/'.join(parts[:-1])}`")
