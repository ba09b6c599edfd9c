"""What Google's descriptions of its services say of a value, as google-api-python-client ships them.

They show that names, types and enums are those of the service; not that the service takes the whole.
"""

import functools
import importlib.resources
import json

TYPES = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "array": list, "object": dict}


@functools.cache
def schemas(service):
    """The schemas of a service, such as `monitoring.v1`, by name."""
    folder = importlib.resources.files("googleapiclient.discovery_cache.documents")
    return json.loads((folder / f"{service}.json").read_text())["schemas"]


def problems(service, name, value):
    """All that is wrong with a value, each with its place; nothing if it is as the schema of that name says."""
    return list(_problems(service, {"$ref": name}, value, name))


def _problems(service, schema, value, at):
    schema = schemas(service)[schema["$ref"]] if "$ref" in schema else schema
    kind = schema.get("type", "any")
    if kind == "any":
        return
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{at}: {value!r} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if kind == "array":
        for index, each in enumerate(value):
            yield from _problems(service, schema["items"], each, f"{at}[{index}]")
    if kind == "object":
        properties = schema.get("properties", {})
        for key, each in value.items():
            if key in properties:
                yield from _problems(service, properties[key], each, f"{at}.{key}")
            elif "additionalProperties" in schema:
                yield from _problems(service, schema["additionalProperties"], each, f"{at}.{key}")
            else:
                yield f"{at}.{key}: there is no such field"
