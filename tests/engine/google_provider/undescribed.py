"""Resources of which only the SDK tells: their outputs are made up by type, and any change is in place.

So another cloud's program can be walked through where nothing better is at hand. Names, nesting, required properties
and types are checked all the same.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from google_provider import sdk

NAMES: Mapping[str, str] = {"aws:s3/bucket:Bucket": "bucket", "aws:s3/bucketV2:BucketV2": "bucket"}
"""The property that gets a name made of the logical one, where it is not `name`."""
ACCOUNT = "123456789012"


def outputs(token: str, state: Mapping[str, Any], unique: int, region: str) -> tuple[str, dict[str, Any]]:
    """An id, and the outputs that a resource's inputs do not give."""
    _, module, short = token.split(":")
    service = module.split("/")[0]
    digits = hashlib.sha256(str(unique).encode()).hexdigest()[:17]
    name = next((str(state[each]) for each in (NAMES.get(token, ""), "name") if state.get(each)), "")
    made: dict[str, Any] = {}
    if state.get("namePrefix"):
        made["name"] = name = f"{state['namePrefix']}{digits}"
    id_ = name or f"{sdk.snake(short).replace('_', '-')}-{digits}"
    found = sdk.resource(token)
    for field, type_ in found.outputs.items():
        if field in state or field in made or field not in found.always:
            continue
        if field == "arn":
            made[field] = f"arn:aws:{service}:{region}:{ACCOUNT}:{short[0].lower()}{short[1:]}/{id_}"
        elif type_.kind == "string":
            made[field] = f"{id_}-{field}"
        elif type_.kind in ("integer", "number"):
            made[field] = 1
        elif type_.kind in ("boolean", "list", "map"):
            made[field] = {"boolean": False, "list": [], "map": {}}[type_.kind]
    return id_, made
