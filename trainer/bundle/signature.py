"""Ed25519 signatures as `openssl pkeyutl` makes and verifies them, so that a bare node can check a bundle.

Make a pair of keys with `openssl genpkey -algorithm ed25519 -out key.pem` (under `umask 077`) and
`openssl pkey -in key.pem -pubout -out pub.pem`.
"""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from trainer.errors import BadInput


def private_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs.

    Raises:
        BadInput: if it cannot be read, is no such key, or others may read it.
    """
    cure = "make one: (umask 077; openssl genpkey -algorithm ed25519 -out key.pem)"
    key = _read("--sign", path, cure, lambda data: serialization.load_pem_private_key(data, password=None))
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput("--sign", str(path), "an Ed25519 private key in PEM", cure)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadInput("--sign", str(path), "a key file that its owner alone can read", f"chmod 600 {path}")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The key that verifies.

    Raises:
        BadInput: if it cannot be read, or is no such key.
    """
    cure = "take it from the private key: openssl pkey -in key.pem -pubout -out pub.pem"
    key = _read("--key", path, cure, serialization.load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise BadInput("--key", str(path), "an Ed25519 public key in PEM", cure)
    return key


def is_valid(key: Ed25519PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether the holder of the private key signed those data."""
    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _read(option: str, path: Path, cure: str, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise BadInput(option, str(path), f"a key file that can be read ({error.strerror})", cure) from None
    except (ValueError, TypeError):  # no PEM; or one with a pass phrase, which nobody could give on the way
        raise BadInput(option, str(path), "an Ed25519 key in PEM, without a pass phrase", cure) from None
