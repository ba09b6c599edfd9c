"""What Google Cloud Storage, and the way to it, answer when something is wrong, in the words of `Objects`."""

import re

from google.api_core import exceptions as google
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests import RequestException

from trainer.errors import BadInput, SlipwayError
from trainer.store.objects.base import Corrupt, Exists, Missing, Unreachable
from trainer.store.objects.refused import Refused

FAULTS = (
    google.GoogleAPIError,
    auth.GoogleAuthError,
    InvalidResponse,
    DataCorruption,
    RequestException,
    ConnectionError,
)
"""All that the library raises for what may be wrong with the place, or with the way to it."""

SIGN_IN = "run `gcloud auth application-default login`, or give the machine a service account"

_KEPT = re.compile(r"retention|(?:temporary|event-based|active) hold", re.IGNORECASE)
"""What Google says of objects that are locked (https://cloud.google.com/storage/docs/bucket-lock)."""
_CHANGED = re.compile(r"CRC32C .* doesn't match")
_SESSION = re.compile(r"upload_id=[\w-]+")
"""Whoever knows the id of an upload in parts may go on with it."""
_PERMISSIONS = ("storage.objects.list", "storage.objects.get", "storage.objects.create", "storage.objects.delete")


def is_sent_anew(error: Exception) -> bool:
    """Whether an upload is to begin anew: its bytes changed on their way, or it went in parts and is known no more.

    https://cloud.google.com/storage/docs/resumable-uploads#practices
    """
    if isinstance(error, google.GoogleAPICallError):
        is_over = error.code in (404, 410) and "upload_id=" in str(error)
        return is_over or (error.code == 400 and _CHANGED.search(str(error)) is not None)
    return isinstance(error, DataCorruption)


def translated(error: Exception, uri: str, key: str) -> SlipwayError:
    """The error to raise.

    Args:
        error: one of `FAULTS`.
        uri: the place.
        key: the object that was asked for.
    """
    if isinstance(error, DataCorruption):
        return Corrupt(f"{uri}/{key} did not arrive as it was sent: {error}")
    if isinstance(error, google.PreconditionFailed):
        return Exists(f"{uri}/{key}")
    if isinstance(error, google.NotFound) and key and "bucket does not exist" not in str(error):
        return Missing(f"{uri}/{key}")
    mend = _mend(error, uri)
    return Refused(mend) if mend else Unreachable(f"{uri}: {_SESSION.sub('upload_id=...', str(error))}")


def _mend(error: Exception, uri: str) -> BadInput | None:
    """What a person can do about it; None if nothing is known."""
    said = f"Google says: {error}"
    if isinstance(error, google.ClientError) and ("cloudkms" in said.lower() or "cloud kms" in said.lower()):
        cure = "grant roles/cloudkms.cryptoKeyEncrypterDecrypter on the key to the storage service agent"
        return BadInput("store", uri, f"an encryption key that may be used; {said}", cure)
    if isinstance(error, google.Forbidden) and _KEPT.search(said):
        cure = "remove the bucket's retention policy and the objects' holds, or name another bucket"
        return BadInput("store", uri, f"a bucket whose objects may be replaced and removed; {said}", cure)
    if isinstance(error, google.Forbidden):
        needed = [name for name in _PERMISSIONS if name in said] or ["storage.objects.*"]
        cure = "grant roles/storage.objectUser on the bucket"
        return BadInput("store", uri, f"credentials that may {', '.join(needed)}; {said}", cure)
    if isinstance(error, google.NotFound):
        return BadInput("store", uri, "a bucket that there is", "mend the bucket's name, or make the bucket first")
    if isinstance(error, google.Unauthorized | auth.RefreshError):
        return BadInput("store", uri, f"credentials that are still good; {said}", SIGN_IN)
    return None
