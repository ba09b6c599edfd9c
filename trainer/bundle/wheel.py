"""The wheel of slipway, from the files that this process runs: the same from a clone and from an installation."""

import base64
import hashlib
import importlib.metadata
import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import envs
import trainer

PACKAGES = (envs, trainer)
PLAYBOOKS = Path(__file__).parent / "ansible"
PLAYBOOK, ROLE = "node.yml", "roles/trainer"
"""What nodes have of them. All else is a site's: its changes are none of a node's, and inventories may have secrets."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold: wheels of the same files are the same bytes."""

WHEEL = "Wheel-Version: 1.0\nGenerator: slipway\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build() -> tuple[str, bytes]:
    """The wheel's file name, and its bytes.

    Source: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
    """
    distribution = importlib.metadata.distribution("slipway")
    stem = f"slipway-{distribution.version}"
    content = {name: data for package in PACKAGES for name, data in _package(package.__name__, package.__path__[0])}
    content |= {f"trainer/bundle/ansible/{name}": data for name, data in playbook()}
    content |= {f"{stem}.dist-info/{name}": data for name, data in _metadata(distribution)}
    content[f"{stem}.dist-info/WHEEL"] = WHEEL.encode()
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in sorted(content.items())]
    content[record] = "".join([*lines, f"{record},,\n"]).encode()
    return f"{stem}-py3-none-any.whl", _zip(content)


def playbook() -> Iterator[tuple[str, bytes]]:
    """The playbook that makes a machine a node, with its role; the names begin below the folder of playbooks."""
    yield PLAYBOOK, (PLAYBOOKS / PLAYBOOK).read_bytes()
    yield from _package(ROLE, PLAYBOOKS / ROLE)


def _package(name: str, folder: str | Path) -> Iterator[tuple[str, bytes]]:
    """A folder's files, but for the playbooks: in a clone they are there by a link, in an installation as they are."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if each != "__pycache__" and not each.startswith(".")]
        folders[:] = [each for each in folders if Path(parent) / each != PLAYBOOKS]
        for each in names:
            if not each.startswith(".") and not each.endswith(".pyc"):
                path = Path(parent) / each
                yield f"{name}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def _metadata(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    """What the installation says of the package itself, not of how it was installed."""
    for path in distribution.files or []:
        folder, _, name = path.as_posix().partition("/")
        if folder.endswith(".dist-info") and (name in ("METADATA", "entry_points.txt") or name.startswith("licenses/")):
            yield name, path.read_binary()


def _zip(content: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content[name])
    return data.getvalue()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
