"""Clients of Amazon's services, by boto3's own chain of credentials; boto3 is imported when one is made."""

import os
from typing import Any

from trainer.clouds import endpoints
from trainer.errors import BadInput

CONNECT_SECONDS, READ_SECONDS = 5, 10
_REFUSALS = (
    "InvalidParameter",
    "MissingParameter",
    "MissingRequired",
    "Validation",
    "InvalidFormat",
    "413",
    "RequestEnt",
)


def client(service: str, field: str) -> Any:
    """A client that tries once: whoever uses it knows when to try again.

    Args:
        service: boto3's name of it.
        field: the key of the run file that asks for it.

    Raises:
        BadInput: if no region or no credentials are set, or the endpoint is not encrypted.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, NoRegionError

    # Mode standard with one attempt: pauses between tries are `Batched`'s.
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    try:
        session = boto3.Session(region_name=os.environ.get("AWS_REGION"))  # boto3 itself knows AWS_DEFAULT_REGION alone
        made = session.client(service, config=config)  # type: ignore[call-overload]
        credentials = session.get_credentials()
    except NoRegionError:
        raise BadInput(field, True, "true where a region of AWS is known", "set AWS_REGION, e.g. eu-west-1") from None
    except (BotoCoreError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(field, True, f"true where AWS is set up ({reason})", "mend ~/.aws or the variables") from None
    if credentials is None:
        cure = "run on a machine with a role, `aws configure sso`, or set AWS_PROFILE"
        raise BadInput(field, True, "true where credentials of AWS are found", cure)
    variable = made.meta.service_model.service_id.upper().replace(" ", "_")  # as botocore makes it
    endpoints.check_encrypted(f"AWS_ENDPOINT_URL_{variable}", made.meta.endpoint_url)
    return made


def code(error: Exception) -> str:
    """The service's word for an error; empty if no service answered."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def is_refusal(error: Exception) -> bool:
    """Whether the same request would be refused again, whatever else changes."""
    from botocore.exceptions import ParamValidationError

    return isinstance(error, ParamValidationError) or code(error).startswith(_REFUSALS)
