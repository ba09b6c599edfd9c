"""Clients of Google's services, by its Application Default Credentials; its libraries are imported when one is made.

Where a service does not answer at Google's own address, gcloud's variable says so:
`CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING`, `CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING`. http is for loopback, and is
asked without credentials.
"""

import os
from typing import Any
from urllib.parse import urlsplit

from trainer.clouds import endpoints
from trainer.errors import BadInput

CALL_SECONDS = 10.0
OVERRIDE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"
PROJECT = "GOOGLE_CLOUD_PROJECT"


def client(kind: Any, service: str, project: str | None, field: str) -> tuple[Any, str]:
    """A client, and the project that it works in.

    Args:
        kind: the client's class.
        service: `monitoring` or `logging`, for the scope and the endpoint.
        project: None takes the credentials' own.
        field: the section of the run file that asks for it.

    Raises:
        BadInput: if no credentials or no project are found, or the endpoint is not encrypted.
    """
    address = os.environ.get(OVERRIDE + service.upper())
    if address is not None:
        endpoints.check_encrypted(OVERRIDE + service.upper(), address)
        if address.startswith("http:"):
            return _without_credentials(kind, address), _checked(project or os.environ.get(PROJECT), field)
    credentials, own = _credentials(f"https://www.googleapis.com/auth/{service}.write", field)
    options = {"api_endpoint": urlsplit(address).netloc} if address is not None else {}
    project = _checked(project or os.environ.get(PROJECT) or own, field)
    return kind(credentials=credentials, client_options=options), project


def _without_credentials(kind: Any, address: str) -> Any:
    import grpc

    transport = kind.get_transport_class("grpc")
    return kind(transport=transport(channel=grpc.insecure_channel(urlsplit(address).netloc)))


def _credentials(scope: str, field: str) -> tuple[Any, str | None]:
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        credentials, project = google.auth.default(scopes=[scope])
    except GoogleAuthError as error:
        reason = " ".join(str(error).split())[:300]
        cure = "run `gcloud auth application-default login`, or on a machine with a service account"
        raise BadInput(
            f"{field}.enabled", True, f"true where credentials of Google Cloud are found ({reason})", cure
        ) from None
    return credentials, project


def _checked(project: str | None, field: str) -> str:
    if not project:
        cure = f"set {field}.project, or {PROJECT}"
        raise BadInput(f"{field}.project", None, "a project, where the credentials name none", cure)
    return project
