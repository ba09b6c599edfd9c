"""Makes bundles."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from trainer.bundle import archive, signature, wheel, wheelhouse
from trainer.config import load
from trainer.config.models import RunFile
from trainer.errors import BadInput, SlipwayError
from trainer.run import files, group, ids, provenance

HERE = Path(__file__).parent
FORMAT = 2
SUFFIX = ".tar.gz"
LONGEST_NAME = 255 - len(".sha256.sig")
"""In bytes: file systems take 255, and the signature's name is the longest."""
MANIFEST, RUN_FILE = "manifest.json", "run.yaml"
REQUIREMENTS, NODE_REQUIREMENTS = "requirements.txt", "node-requirements.txt"


def build(
    run_file: RunFile | None,
    out: Path,
    *,
    run_id: str | None,
    training_seeds: int,
    key: Path | None,
    gpu: bool,
    with_wheels: bool,
) -> tuple[Path, ...]:
    """Write a bundle, its checksum beside it, and the checksum's signature if there is a key.

    Args:
        run_file: validated; None: the bundle is for machines that take their runs from a site's queue.
        out: the archive, `.tar.gz`.
        run_id: the run's name in its store; None: one that follows from the run file, the same each time.
        training_seeds: how many runs to train, on consecutive seeds; more than one makes a group.
        key: an Ed25519 private key in PEM.
        gpu: whether nodes train on NVIDIA GPUs.
        with_wheels: whether nodes install from the bundle alone, without a package index.

    Returns:
        The files written.

    Raises:
        BadInput: if the key, the id or the place is not allowed; nothing has been written then.
        SlipwayError: if wheels cannot be had, or the disk is full or fails.
    """
    check_out(out)
    private = signature.private_key(key) if key else None
    said: dict[str, Any] = {"run_id": None, "seeds": None, "gpu": gpu, "wheelhouse": with_wheels}
    if run_file is not None:
        group.with_seeds(run_file, training_seeds)
        said |= {"run_id": ids.check(run_id or default_run_id(run_file, training_seeds)), "seeds": training_seeds}
    with tempfile.TemporaryDirectory(prefix="slipway-bundle-", dir=out.parent) as name:
        content = _content(run_file, gpu)
        if with_wheels:
            texts = [_text(content[each]) for each in (REQUIREMENTS, NODE_REQUIREMENTS)]
            for path in wheelhouse.download(texts, Path(name)):
                content[f"wheelhouse/{path.name}"] = path
        content[MANIFEST] = files.encode(_manifest(content, said))
        aside = Path(name) / "bundle"
        digest = _write(content, aside, archive.STORED if with_wheels else archive.FAST)
        # The archive comes last: where there is one, all that belongs to it is there.
        checksum = f"{digest}  {out.name}\n".encode()
        files.write(checksum_path(out), checksum)
        written = [out, checksum_path(out)]
        if private:
            files.write(signature_path(out), private.sign(checksum))
            written.append(signature_path(out))
        else:
            signature_path(out).unlink(missing_ok=True)
        aside.replace(out)
        files.sync_folder(out.parent)
    return tuple(written)


def default_run_id(run_file: RunFile, training_seeds: int) -> str:
    """A run's name that is the same for the same run file, so that bundles of it are the same bytes."""
    digest = hashlib.sha256(load.dump(run_file).encode()).hexdigest()
    seeds = f"-{training_seeds}-seeds" if training_seeds > 1 else ""
    return f"{ids.name(run_file)[:80]}{seeds}-{digest[:6]}"


def check_out(out: Path) -> None:
    """Find out whether a bundle can be written there.

    Raises:
        BadInput: if it is no name for an archive, there is something already, or the folder cannot be written.
    """
    if not out.name.endswith(SUFFIX) or out.name == SUFFIX:
        raise BadInput("--out", str(out), f"a name that ends in {SUFFIX}", f"write --out bundle{SUFFIX}")
    if len(os.fsencode(out.name)) > LONGEST_NAME:
        raise BadInput("--out", out.name, f"a name of at most {LONGEST_NAME} bytes", "choose a shorter one")
    with contextlib.suppress(OSError):
        if out.exists() or out.is_symlink():
            raise BadInput("--out", str(out), "a file that is not there yet", "remove it, or choose another name")
        if out.parent.is_dir() and os.access(out.parent, os.W_OK):
            return
    raise BadInput("--out", str(out), "a file in a folder that can be written", "make the folder, or choose another")


def checksum_path(out: Path) -> Path:
    """The file with a bundle's checksum, as `sha256sum --check` reads it."""
    return out.with_name(f"{out.name}.sha256")


def signature_path(out: Path) -> Path:
    """The file with the signature over the checksum file."""
    return out.with_name(f"{out.name}.sha256.sig")


def _content(run_file: RunFile | None, gpu: bool) -> dict[str, bytes | Path]:
    name, data = wheel.build()
    return {
        name: data,
        **({RUN_FILE: load.dump(run_file).encode()} if run_file is not None else {}),
        REQUIREMENTS: (HERE / "requirements" / ("trainer-gpu.txt" if gpu else "trainer.txt")).read_bytes(),
        NODE_REQUIREMENTS: (HERE / "requirements" / "node.txt").read_bytes(),
        **{f"ansible/{name}": data for name, data in wheel.playbook()},
    }


def _manifest(content: dict[str, bytes | Path], said: dict[str, Any]) -> dict[str, Any]:
    sums = {name: archive.sha256(data) for name, data in sorted(content.items())}
    package = next(name for name in sums if name.endswith(".whl") and "/" not in name)
    version = package.split("-")[1]
    return {
        "format": FORMAT,
        "version": version,
        # What takes minutes to install is shared by all bundles with the same requirements.
        "environment": f"{version}-{sums[REQUIREMENTS][:12]}",
        "wheel": package,
        **said,
        "git": provenance.git(provenance.ROOT),
        "files": sums,
    }


def _write(content: dict[str, bytes | Path], path: Path, level: int) -> str:
    """Write an archive to the disk; its checksum."""
    try:
        with path.open("wb") as file:
            archive.pack(content, file, level)
            file.flush()
            os.fsync(file.fileno())
        return archive.sha256(path)
    except OSError as error:
        raise SlipwayError(f"cannot write {path}: {error.strerror}") from error


def _text(content: bytes | Path) -> str:
    return (content if isinstance(content, bytes) else content.read_bytes()).decode()
