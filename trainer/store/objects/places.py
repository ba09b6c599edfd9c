"""From what people write to the objects there: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `nas:///FOLDER`."""

import dataclasses
import ipaddress
import re
from collections.abc import Callable

from trainer.errors import BadInput, nearest
from trainer.store.objects.base import Objects

ALLOWED = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or nas:///FOLDER"

_SHAPE = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):/{1,2}(?P<rest>.*)", re.DOTALL)
_LIKE = {"s3": "s3", "s3a": "s3", "s3n": "s3", "aws": "s3", "gs": "gs", "gcs": "gs", "google": "gs", "nas": "nas"}
_LIKE |= {"nfs": "nas", "smb": "nas", "cifs": "nas"}
_S3_BUCKET = re.compile(r"[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]")
_GCS_BUCKET = re.compile(r"[a-z0-9](?!.*\.\.)[a-z0-9._-]{1,220}[a-z0-9]")
_UNFIT = re.compile(r"[\x00-\x1f\x7f?#\\]")
_KMS_OF_AWS = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/\S+|alias/\S+|(mrk-)?[0-9a-f-]{32,36}")
_KMS_OF_GOOGLE = re.compile(r"projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+")


@dataclasses.dataclass(frozen=True)
class _Written:
    """A URI in its parts; `uri` is safe to show."""

    uri: str
    scheme: str
    name: str
    prefix: str

    def bad(self, allowed: str, cure: str) -> BadInput:
        return BadInput("store", self.uri, allowed, cure)


def place(uri: str, *, encryption_key: str | None = None) -> Objects:
    """The place that a URI names. Whether it is there and ours, `Objects.check` finds out.

    Args:
        uri: `s3://BUCKET[/PREFIX]`, `gs://BUCKET[/PREFIX]`, or `nas:///ABSOLUTE/PATH` of a folder that several machines
            mount.
        encryption_key: name of a key of AWS KMS or Cloud KMS with which objects are encrypted; without one, the bucket
            does what is set on it.

    Raises:
        BadInput: if it names no place that can be, there are no credentials of Google Cloud, or settings of AWS are
            wrong.
    """
    return _MAKERS[_scheme(uri)](_written(uri), encryption_key)


def _scheme(uri: str) -> str:
    match = _SHAPE.fullmatch(uri)
    word = match["scheme"].lower() if match else ""
    if match and word in _MAKERS and uri[len(word) :].startswith("://"):
        return word
    near = _LIKE.get(word) or nearest(word, _MAKERS)
    if match is None or near is None:
        raise BadInput("store", _shown(uri), ALLOWED, "begin with s3://, gs:// or nas://")
    rest = match["rest"].lstrip("/")
    raise BadInput("store", _shown(uri), ALLOWED, f"write {near}://{'/' if near == 'nas' else ''}{_shown(rest)}")


def _shown(uri: str) -> str:
    """A URI without the credentials that some put into one."""
    return re.sub(r"(^|//)[^/@]*@", r"\1***@", uri)


def _written(uri: str) -> _Written:
    scheme, rest = uri.split("://", 1)
    name, _, prefix = rest.partition("/")
    written = _Written(_shown(uri).rstrip("/"), scheme.lower(), name, prefix.rstrip("/"))
    if "@" in name:
        raise written.bad(
            "a place without credentials", "leave out what stands before the @; credentials come from the environment"
        )
    if unfit := _UNFIT.search(rest):
        cure = f"leave out the {unfit[0]!r} and what comes after it"
        raise written.bad("a place by its name alone, without a query, fragment or control characters", cure)
    if written.prefix and not {"", ".", ".."}.isdisjoint(written.prefix.split("/")):
        raise written.bad("a path without empty parts, '.' and '..'", "write the path in full, with single slashes")
    return written


def _bucket(written: _Written, form: re.Pattern[str], allowed: str) -> None:
    if not written.name:
        raise written.bad(f"{written.scheme}://BUCKET/PREFIX", f"name the bucket: {written.scheme}://BUCKET/PREFIX")
    if not form.fullmatch(written.name) or _is_address(written.name):
        raise written.bad(f"a bucket's name: {allowed}", "mend the bucket's name")


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.IPv4Address(name))
    except ValueError:
        return False


def _s3(written: _Written, encryption_key: str | None) -> Objects:
    _bucket(written, _S3_BUCKET, "3 to 63 lower-case letters, digits, '-' and '.', a letter or digit at both ends")
    if written.name.endswith("--x-s3"):
        raise written.bad("a general purpose bucket; a directory bucket does not list keys in order", "name another")
    if encryption_key is not None and not _KMS_OF_AWS.fullmatch(encryption_key):
        cure = "write the key's ARN: arn:aws:kms:REGION:ACCOUNT:key/ID"
        raise BadInput("encryption_key", encryption_key, "ARN, id or alias/NAME of a key of AWS KMS", cure)
    from trainer.store.objects.s3 import S3Objects

    return S3Objects(written.uri, written.name, written.prefix, encryption_key)


def _gcs(written: _Written, encryption_key: str | None) -> Objects:
    _bucket(written, _GCS_BUCKET, "3 to 63 lower-case letters, digits, '-', '_', '.', a letter or digit at both ends")
    if encryption_key is not None and not _KMS_OF_GOOGLE.fullmatch(encryption_key):
        form = "projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY"
        raise BadInput("encryption_key", encryption_key, f"a key of Cloud KMS: {form}", f"write it as {form}")
    from trainer.store.objects.gcs import GcsObjects

    return GcsObjects(written.uri, written.name, written.prefix, encryption_key)


def _folder(written: _Written, encryption_key: str | None) -> Objects:
    if written.name or not written.prefix:
        path = "/".join(part for part in (written.name, written.prefix) if part) or "srv/runs"
        cure = f"mount it, and write its folder here with three slashes: nas:///{path}"
        raise written.bad("nas:// with the absolute path of a folder: nas:///srv/runs", cure)
    if encryption_key is not None:
        cure = "leave it out; encrypt the file system itself"
        raise BadInput("encryption_key", encryption_key, "nothing, for a folder", cure)
    from trainer.store.objects.folder import FolderObjects

    return FolderObjects(written.uri, f"/{written.prefix}")


_MAKERS: dict[str, Callable[[_Written, str | None], Objects]] = {"s3": _s3, "gs": _gcs, "nas": _folder}
