"""Throughput of files to a store and back, beside the plain client of the same place."""

import argparse
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import timing
from benchmarks.stores import SHARED
from benchmarks.stores.program import report
from trainer.store.objects.places import place

BYTES = 256_000_000
Client = tuple[Callable[[Path], object], Callable[[Path], object]]
"""Sends a file, and fetches it."""


def measure(places: dict[str, str], folder: Path, size: int, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Bytes a second by store, direction and client: ours and the plain one, in turns.

    Args:
        places: addresses by the store's name.
        folder: an empty one, for files.
        size: of the file, in bytes.
        seed: of its bytes; an odd one lets the plain clients go first.
    """
    source = folder / "source"
    source.write_bytes(np.random.default_rng(seed).bytes(size))
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in SHARED:
        clients = {"slipway": _ours(places[name], sha256), **_plain(name, places[name])}
        turn = list(clients)[:: -1 if seed % 2 else 1]
        found[name] = {"upload": {}, "download": {}}
        for client in turn:
            upload, download = clients[client]
            target = folder / f"{client} target"
            spent, _ = timing.timed(functools.partial(upload, source))
            found[name]["upload"][client] = size / spent
            spent, _ = timing.timed(functools.partial(download, target))
            found[name]["download"][client] = size / spent
            if hashlib.sha256(target.read_bytes()).hexdigest() != sha256:
                raise RuntimeError(f"{client} got other bytes from {name} than it sent")
            target.unlink()
    return found


def _ours(address: str, sha256: str) -> Client:
    objects = place(address)
    return lambda path: objects.upload("ours", path, sha256), lambda path: objects.download("ours", path, sha256)


def _plain(name: str, address: str) -> dict[str, Client]:
    """Plain clients, with their own defaults."""
    bucket = address.split("://")[1].split("/")[0]
    if name == "s3":
        import boto3

        client = boto3.client("s3")
        return {
            "boto3": (
                lambda path: client.upload_file(str(path), bucket, "plain"),
                lambda path: client.download_file(bucket, "plain", str(path)),
            )
        }
    if name == "gs":
        from google.cloud import storage

        blob = storage.Client().bucket(bucket).blob("plain")
        return {
            "google-cloud-storage": (
                lambda path: blob.upload_from_filename(str(path)),
                lambda path: blob.download_to_filename(str(path)),
            )
        }
    copy = Path(address.split("://")[1]) / "plain"
    return {
        "cp": (lambda path: shutil.copyfile(path, copy), lambda path: shutil.copyfile(copy, path)),
        "cp, fsync": (lambda path: _durably(path, copy), lambda path: _durably(copy, path)),
    }


def _durably(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as written:
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fsync(written.fileno())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["store-transfer"])
    parser.add_argument("setting")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    def measured(places: dict[str, str]) -> dict[str, dict[str, dict[str, float]]]:
        with tempfile.TemporaryDirectory() as folder:
            return measure(places, Path(folder), BYTES, arguments.seed)

    report(measured)


if __name__ == "__main__":
    main()
