"""Reads run files: YAML with overrides in, a validated `RunFile` out; and writes them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pydantic

from trainer.config import explain, overrides, yaml_text
from trainer.config.models import RunFile
from trainer.errors import MISSING, BadInput

MAXIMUM_BYTES = 1 << 20
"""No run file is longer: what is, was given by mistake."""


def read(path: Path) -> dict[str, Any]:
    """The mapping that a run file holds, not yet validated.

    Raises:
        BadInput: if it cannot be read, is no YAML, or holds no mapping.
    """
    allowed, cure = "a YAML file with a run file", "give the path of a file that can be read"
    try:
        with path.open("rb") as file:
            data = file.read(MAXIMUM_BYTES + 1)
        if len(data) > MAXIMUM_BYTES:
            raise BadInput("RUNFILE", str(path), f"a YAML file of at most {MAXIMUM_BYTES} bytes", cure)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise BadInput("RUNFILE", str(path), f"{allowed} ({error.strerror})", cure) from None
    except UnicodeDecodeError as error:
        raise BadInput("RUNFILE", str(path), f"{allowed} in UTF-8 ({error.reason})", "save it as UTF-8 text") from None
    except ValueError as error:  # a path that no system has, such as one with a null character
        raise BadInput("RUNFILE", str(path), f"{allowed} ({error})", cure) from None
    return mapping(yaml_text.parse(text, str(path)), str(path))


def mapping(value: Any, source: str) -> dict[str, Any]:
    """The value, if it is a mapping.

    Raises:
        BadInput: if it is not.
    """
    if not isinstance(value, dict):
        shown = MISSING if value is None else value
        raise BadInput(
            source, shown, "a mapping of keys and values", "begin with `env:`; `slipway presets show` prints examples"
        )
    return value


def load(path: Path, settings: Iterable[str] = ()) -> RunFile:
    """A run file, validated.

    Args:
        path: the YAML file.
        settings: overrides, each `key.key=value`.

    Raises:
        BadInput, BadInputs: if anything in it or in the overrides is wrong.
    """
    return validate(overrides.apply(read(path), settings))


def validate(data: Mapping[str, Any]) -> RunFile:
    """The run file that a mapping describes.

    Raises:
        BadInput, BadInputs: for everything that is wrong whatever the environment.
    """
    try:
        return RunFile.model_validate(data)
    except pydantic.ValidationError as error:
        raise explain.bad_inputs(error) from None


def dump(run_file: RunFile) -> str:
    """The run file as YAML with every key; `load` gives the same run file back."""
    return yaml_text.dump(run_file.model_dump(mode="json"))
