"""What RESULTS.md says of stores."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import tables
from benchmarks.stores import AGENTS, AIM_PERCENT, SHARED, STORES
from benchmarks.stores.transfer import BYTES

Row = dict[str, Any]
MEGA = 10**6


def brief(row: Row) -> str:
    """A row's main figures, store by store."""
    return ", ".join(f"{name} {_BRIEF[row['kind']](figures)}" for name, figures in row["stores"].items())


_BRIEF: dict[str, Callable[[dict[str, Any]], str]] = {
    "store-overhead": lambda figures: f"{1000 * statistics.median(figures['added_seconds']):.0f} ms",
    "store-commit": lambda figures: f"{statistics.median(list(figures.values())[-1]):.2f} s",
    "store-resume": lambda figures: f"{figures['iterated']:.1f} s",
    "store-transfer": lambda figures: f"{figures['upload']['slipway'] / MEGA:.0f} MB/s",
}


def where(rows: Sequence[Row]) -> str:
    """On which processors what ran."""
    found = next(row["processors"] for row in rows)
    apart = "others than" if set(found["servers"]).isdisjoint(found["measured"]) else "the same as"
    return f"Servers ran on processors {found['servers']}, {apart} what is measured, which had {found['measured']}."


def late(rows: Sequence[Row]) -> str:
    """How many blocks there were, and how many uploads are not wholly in what was added, as they lasted longer."""
    found = [row["stores"][store] for row in rows for store in SHARED]
    pairs, blocks = len(found[-1]["added_seconds"]), sum(len(each["added_seconds"]) for each in found)
    past = f"{sum(each['late'] for each in found)} of {blocks} uploads went on past the end of their block"
    return f"A round has {pairs} pairs of blocks for each agent and store. {past} (that is counted in part)."


def _rows(rows: Sequence[Row], kind: str, setting: str | None = None) -> list[Row]:
    found = [row for row in rows if row["kind"] == kind and setting in (None, row["setting"])]
    return sorted(found, key=lambda row: row["round"])


def overhead_table(rows: Sequence[Row]) -> list[str]:
    """What a checkpoint adds to the training; each round's figure is the median of its pairs of blocks."""
    body = []
    for agent in AGENTS:
        for store in STORES:
            own = [row["stores"][store] for row in _rows(rows, "store-overhead", agent)]
            if not own:
                continue
            added = [statistics.median(each["added_seconds"]) for each in own]
            between = [statistics.median(each["plain_seconds"]) / 2 for each in own]
            body.append(
                [
                    f"{agent}, {tables.digits(own[-1]['checkpoint_bytes'] / MEGA)} MB",
                    store,
                    _milliseconds([each["save_seconds"] for each in own]),
                    _milliseconds([each["snapshot_seconds"] for each in own]),
                    _milliseconds(added),
                    _milliseconds([statistics.median(each["added_processor_seconds"]) for each in own]),
                    f"**{_percent([seconds / 60 for seconds in added])}**",
                    f"{_percent(tables.ratios(added, between))} at one each {_seconds(between)}",
                ]
            )
    head = ["agent, checkpoint", "store", "save, ms", "snapshot, ms", "wall time added, ms", "processor time added, ms"]
    return tables.markdown([*head, f"share at one a minute (aim < {AIM_PERCENT:.0f} %)", "share as measured"], body)


def commit_table(rows: Sequence[Row]) -> list[str]:
    """Seconds from the start of a save to the store's word, all rounds together."""
    body = []
    own = _rows(rows, "store-commit")
    for size in own[0]["stores"]["local"] if own else ():
        body += [
            [f"{tables.digits(int(size) / MEGA)} MB", store, *_spread([row["stores"][store][size] for row in own])]
            for store in STORES
        ]
    for agent in AGENTS:
        trained = _rows(rows, "store-overhead", agent)
        body += [
            [f"{agent}, while it trains", store, *_spread([row["stores"][store]["commit_seconds"] for row in trained])]
            for store in (SHARED if trained else ())
        ]
    return tables.markdown(["checkpoint", "store", "median, s", "95 % within, s", "commits"], body)


def resume_table(rows: Sequence[Row]) -> list[str]:
    """Seconds of a resume in its parts."""
    own = [row["stores"] for row in _rows(rows, "store-resume")]
    body = []
    for store in STORES if own else ():
        parts = ["-", "-", "-"]
        if store in SHARED:
            taken, fetched, iterated = ([each[store][at] for each in own] for at in ("taken", "fetched", "iterated"))
            parts = [tables.middle(part) for part in (taken, _less(fetched, taken), _less(iterated, fetched))]
        whole = [each[store]["iterated"] for each in own]
        beyond = tables.middle(_less(whole, [each["local"]["iterated"] for each in own]))
        body.append([store, *parts, tables.middle(whole), "-" if store == "local" else beyond])
    head = ["store", "until taken, s", "until fetched, s more", "until the first iteration, s more", "in all, s"]
    return tables.markdown([*head, "more than local, s"], body)


def transfer_table(rows: Sequence[Row]) -> list[str]:
    """Megabytes a second of one file, and how many times the plain client's."""
    own = [row["stores"] for row in _rows(rows, "store-transfer")]
    body = []
    for store in SHARED if own else ():
        for direction, first in own[0][store].items():
            ours = [each[store][direction]["slipway"] / MEGA for each in own]
            for client in sorted(first.keys() - {"slipway"}):
                theirs = [each[store][direction][client] / MEGA for each in own]
                ratio = f"**{tables.middle(tables.ratios(ours, theirs))}**"
                body.append([store, direction, tables.middle(ours), client, tables.middle(theirs), ratio])
    return tables.markdown(["store", "direction", "Slipway, MB/s", "plain client", "its MB/s", "ratio"], body)


OVERHEAD = (
    "What one more checkpoint costs a training that goes on: blocks of the same number of iterations take turns, one",
    "with a checkpoint at its end, one with another in its middle; what the second takes longer is added by that",
    "checkpoint, its upload in the background included. The training and all threads of its process have one",
    "processor. `save` is the pause until a checkpoint is on this machine's disk, `snapshot` the further pause until",
    "its upload is on its way. Each checkpoint is whole, the replay's rows included; the share at one a minute is the",
    "time added, divided by 60 s. Signs of life (a small object now and then) are not in it.",
)
COMMIT = (
    "From the start of a save until the store has confirmed it: checkpoints of new bytes, and those of the agents",
    "above while they train. Local: until it is on the disk.",
)
RESUME = (
    "From `slipway resume` in a new process, with an empty work folder and nothing compiled, to the first new",
    "iteration of a run of cartpole-dqn with a full replay (19 MB). Taken: the process has found out that nobody holds",
    "the run, and begins to hold it. The last part is importing TensorFlow, compiling, and one iteration.",
)
TRANSFER = (
    f"One file of {BYTES // MEGA} MB. Slipway's are checked by sha256 on both ends and, downloads and files on a NAS,",
    "brought to the disk (fsync) before they count; of the plain clients only `cp, fsync` does that.",
)
STAND_INS = (
    "Servers on this machine stand in for the clouds (moto for S3, fake-gcs-server for Google Cloud Storage), and a",
    "folder of its disk for a NAS. There is no network between: neither latency nor throughput is a cloud's, moto is",
    "slow, and fake-gcs-server copies all parts so far for each new one. What carries over is what the training's own",
    "processor spends, and the ratios to the plain clients, which talk to the same servers.",
)


def _less(whole: Sequence[float], part: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(whole, part, strict=True)]


def _milliseconds(seconds: Sequence[float]) -> str:
    return tables.middle([1000 * value for value in seconds])


def _seconds(values: Sequence[float]) -> str:
    return f"{tables.digits(statistics.median(values))} s"


def _percent(shares: Sequence[float]) -> str:
    return f"{tables.middle([100 * share for share in shares])} %"


def _spread(rounds: Sequence[Sequence[float]]) -> list[str]:
    """Median, 95th percentile and number."""
    seconds = [value for each in rounds for value in each]
    if not seconds:
        return ["-", "-", "0"]
    return [
        tables.digits(statistics.median(seconds)),
        tables.digits(float(np.quantile(seconds, 0.95))),
        str(len(seconds)),
    ]
