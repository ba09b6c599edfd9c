"""Verifies bundles: checksum, signature, and each file by the manifest."""

import json
from pathlib import Path
from typing import Any

from trainer.bundle import archive, signature
from trainer.bundle.build import FORMAT, MANIFEST, checksum_path, signature_path
from trainer.errors import BadInput, SlipwayError


def verify(bundle: Path, key: Path | None) -> dict[str, Any]:
    """Check a bundle.

    Args:
        bundle: the archive; its checksum and signature lie beside it.
        key: the Ed25519 public key in PEM that must have signed it; None: the signature is not looked at.

    Returns:
        Its manifest.

    Raises:
        BadInput: if a file is missing, or anything in it is not as it was made.
    """
    public = signature.public_key(key) if key else None
    checksum = _read(checksum_path(bundle))
    if public and not signature.is_valid(public, _read(signature_path(bundle)), checksum):
        raise _refused(bundle, f"a bundle that the holder of {key}'s private key signed")
    words = checksum.decode(errors="replace").split()
    try:
        found = archive.sha256(bundle)
    except OSError as error:
        raise _refused(bundle, f"a bundle that can be read ({error.strerror})") from None
    if words != [found, bundle.name]:
        raise _refused(bundle, f"a bundle of the sha256 in {checksum_path(bundle).name}; this has {found}")
    return _verify_files(bundle)


def _verify_files(bundle: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = {}
    sums: dict[str, str] = {}
    try:
        for name, file in archive.unpack(bundle):
            if name == MANIFEST:
                manifest = json.load(file)
            else:
                sums[name] = archive.sha256_of(file)
    except (SlipwayError, ValueError) as error:
        raise _refused(bundle, f"a bundle that `slipway bundle` made ({error})") from None
    if not isinstance(manifest, dict) or not isinstance(found := manifest.get("format"), int):
        raise _refused(bundle, "a bundle that `slipway bundle` made (it has no manifest)")
    if found != FORMAT:
        cure = "use the version of slipway that made it, or make it anew"
        raise BadInput("--check", str(bundle), f"a bundle of format {FORMAT}; this has {found}", cure)
    said = manifest["files"]
    wrong = [name for name in sorted({*said, *sums}) if said.get(name) != sums.get(name)]
    if wrong:
        raise _refused(bundle, f"files with the sha256 of its manifest; {', '.join(wrong[:3])} differ")
    return manifest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        cure = "copy it there together with its bundle, or make the bundle anew"
        raise BadInput("--check", str(path), f"a file that can be read ({error.strerror})", cure) from None


def _refused(bundle: Path, allowed: str) -> BadInput:
    return BadInput("--check", str(bundle), allowed, "do not use it; copy it again, or make it anew")
