"""The provider's configuration, made fit for an imitation of AWS."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from aws_provider.values import UNKNOWN

OURS = frozenset({"version", "pluginDownloadURL", "accessKey", "secretKey", "token", "profile", "endpoints"})
"""Arguments that are not passed on: nobody's real account may be reached."""


def configuration(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the Terraform provider is configured with.

    Args:
        given: what Pulumi's provider was given, all but strings as JSON.
    """
    kept = {}
    for name, value in given.items():
        if name in OURS or value == UNKNOWN:
            continue
        kept[name] = value
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                kept[name] = json.loads(value)
    return kept | {
        "accessKey": "test",
        "secretKey": "test",
        "skipCredentialsValidation": True,
        "skipRegionValidation": True,
        "skipMetadataApiCheck": True,
        "s3UsePathStyle": True,
        "maxRetries": 4,
    }
