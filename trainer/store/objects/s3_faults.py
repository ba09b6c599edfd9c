"""What S3, and the way to it, answer when something is wrong, in the words of `Objects`."""

import re
from typing import Any

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from trainer.errors import BadInput, SlipwayError
from trainer.store.objects.base import Corrupt, Exists, Missing, Unreachable
from trainer.store.objects.refused import Refused

_PASSING = {"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown", "InternalError"}
_PASSING |= {"Throttling", "ThrottlingException", "TooManyRequestsException", "ServiceUnavailable"}
_PASSING |= {"BadDigest", "NoSuchUpload"}  # it changed on its way; its parts are gone, perhaps made one: sent anew
_BROKEN = (boto.HTTPClientError, boto.ConnectionError, boto.IncompleteReadError, boto.ResponseStreamingError)

_NONE = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.NoAuthTokenError)
_OVER = (
    *(boto.UnauthorizedSSOTokenError, boto.SSOTokenLoadError, boto.TokenRetrievalError, boto.LoginRefreshRequired),
    *(boto.CredentialRetrievalError, boto.LoginTokenLoadError, boto.RefreshWithMFAUnsupportedError),
)
_OVER_CODES = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
_UNKNOWN = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthFailure", "InvalidClientTokenId"}
_DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "403"}
_KEPT = re.compile(r"object lock|WORM", re.IGNORECASE)
"""What S3, and servers that speak its protocol, say of objects that are locked."""
_ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
_PERMISSIONS = {"ListObjectsV2": "s3:ListBucket", "HeadObject": "s3:GetObject", "DeleteObjects": "s3:DeleteObject"}
_PERMISSIONS |= {"CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject"}

NO_CREDENTIALS = "run `aws configure` or `aws sso login`, set AWS_PROFILE, or give the machine a role"


def is_passing(error: Exception) -> bool:
    """Whether it may work a moment later: throttling, 5xx, broken connections, bytes that changed, another write."""
    if isinstance(error, ClientError):
        status = _status(error)
        return _code(error) in _PASSING or status == 429 or (status >= 500 and status != 501)
    return isinstance(error, _BROKEN) and not isinstance(error, boto.SSLError)


def translated(error: ClientError | BotoCoreError, uri: str, key: str) -> SlipwayError:
    """The error to raise.

    Args:
        error: what boto3 raised.
        uri: the place.
        key: the object that was asked for.
    """
    if isinstance(error, boto.FlexibleChecksumError):
        return Corrupt(f"{uri}/{key} did not arrive as it was stored: {error}")
    if isinstance(error, ClientError):
        if _code(error) in ("NoSuchKey", "404"):
            return Missing(f"{uri}/{key}")
        if _code(error) == "PreconditionFailed":
            return Exists(f"{uri}/{key}")
    mend = _mend(error, uri)
    return Refused(mend) if mend else Unreachable(f"{uri}: {error}")


def _mend(error: ClientError | BotoCoreError, uri: str) -> BadInput | None:
    """What a person can do about it; None if nothing is known."""
    if isinstance(error, _NONE):
        return BadInput("store", uri, "credentials of AWS for this place", NO_CREDENTIALS)
    if isinstance(error, _OVER):
        return _expired(uri, str(error))
    return _answered(error, uri) if isinstance(error, ClientError) else None


def _answered(error: ClientError, uri: str) -> BadInput | None:
    code, said = _code(error), f"AWS says: {error.response['Error'].get('Message', _code(error))}"
    if code.startswith(("KMS.", "KMS")) or (code in _DENIED and "kms:" in said):
        cure = "let the credentials use the key (kms:GenerateDataKey, kms:Decrypt), and see that it is enabled"
        return BadInput("store", uri, f"an encryption key that may be used; {said}", cure)
    if code == "ObjectLocked" or _KEPT.search(said):
        cure = "name a bucket without object lock, or one that keeps versions: there removing only hides"
        return BadInput("store", uri, f"a bucket whose objects may be replaced and removed; {said}", cure)
    if code in _OVER_CODES:
        return _expired(uri, said)
    if code in _UNKNOWN:
        return BadInput("store", uri, f"credentials that AWS knows; {said}", NO_CREDENTIALS)
    if code in _DENIED:
        permission = _PERMISSIONS.get(error.operation_name, f"s3:{error.operation_name}")
        return BadInput("store", uri, f"credentials that may {permission}; {said}", f"allow {permission} there")
    if code in _ELSEWHERE:
        return _elsewhere(error, uri)
    return _known(code, said, uri)


def _known(code: str, said: str, uri: str) -> BadInput | None:
    if code == "NoSuchBucket":
        return BadInput("store", uri, "a bucket that there is", "mend the bucket's name, or make the bucket first")
    if code == "InvalidBucketName":
        return BadInput("store", uri, f"a bucket's name; {said}", "mend the bucket's name")
    if code == "RequestTimeTooSkewed":
        return BadInput("store", uri, "a machine whose clock is right", "set this machine's clock: timedatectl")
    if code in ("NotImplemented", "MethodNotAllowed"):
        cure = "use AWS, or a server of S3 that knows If-None-Match"
        return BadInput("store", uri, f"a store with conditional writes; {said}", cure)
    return None


def _expired(uri: str, said: str) -> BadInput:
    return BadInput("store", uri, f"credentials that are still good; {said}", "sign in again: aws sso login")


def _elsewhere(error: ClientError, uri: str) -> BadInput:
    answer: Any = error.response
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or answer["Error"].get("Region") or "REGION"
    return BadInput("store", uri, "a bucket in the region that is set", f"set AWS_REGION={region}, where the bucket is")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
