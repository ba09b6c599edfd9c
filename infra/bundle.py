"""What a site's machines fetch at their first boot: one bundle for each run, told where it trains."""

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.deployment import Deployment, Run
from infra.settings import PRIVATE
from trainer.bundle import build as bundles
from trainer.config import load

_folder: tempfile.TemporaryDirectory[str] | None = None
"""Bundles of this process: the engine reads them while it uploads them, and they go with the process."""


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A bundle on this machine.

    Attributes:
        path: the archive; `checksum` and `signature` lie beside it.
        sha256: of the archive, in hexadecimal digits.
        signed: whether there is a signature.
    """

    path: Path
    sha256: str
    signed: bool

    @property
    def checksum(self) -> Path:
        """The file with the checksum."""
        return bundles.checksum_path(self.path)

    @property
    def signature(self) -> Path:
        """The signature of the checksum file."""
        return bundles.signature_path(self.path)


def build(deployment: Deployment, run: Run, place: Mapping[str, Any]) -> Bundle:
    """Make a run's bundle; the same input gives the same bytes.

    Args:
        deployment: the site.
        run: one of its runs.
        place: what the cloud adds to the run file, by dotted keys: its store, its sinks, whose notices to watch.
            A price is added where the run file has none.

    Raises:
        BadInput: if the signing key does not fit.
        SlipwayError: if wheels cannot be had, or the disk fails.
    """
    global _folder
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="slipway-")
    out = Path(_folder.name) / f"{run.run_id}.tar.gz"
    for stale in (out, bundles.checksum_path(out), bundles.signature_path(out)):
        stale.unlink(missing_ok=True)
    data = run.run_file.model_dump(mode="json")
    if data["budget"]["price_usd_per_hour"] is None:
        data["budget"]["price_usd_per_hour"] = deployment.price_usd_per_hour
    for key, value in place.items():
        _put(data, key.split("."), value)
    settings = deployment.settings
    bundles.build(
        load.validate(data),
        out,
        run_id=run.run_id,
        training_seeds=1,
        key=settings.signing_key,
        gpu=settings.has_gpu,
        with_wheels=settings.egress == PRIVATE,
    )
    sha256 = bundles.checksum_path(out).read_text().split()[0]
    return Bundle(out, sha256, settings.signing_key is not None)


def public_key(deployment: Deployment) -> str | None:
    """The public key of the bundles' signatures, in PEM; None if they are not signed.

    Raises:
        BadInput: if the private one cannot be read.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from trainer.bundle import signature

    path = deployment.settings.signing_key
    if path is None:
        return None
    key = signature.private_key(path).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _put(data: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, last = path
    for name in parents:
        data = data[name]
    data[last] = value
