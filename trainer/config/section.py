"""What all sections of a run file are made of: immutable models, schedules, contradictions between values."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    Strict,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Contradiction(NamedTuple):
    """A value that another value rules out."""

    field: str  # relative to the model that finds it
    value: object
    allowed: str
    cure: str


def refuse(contradictions: list[Contradiction]) -> None:
    """Refuses a model for all contradictions at once; `trainer.config.load` takes them out of the error again."""
    if contradictions:
        text = "; ".join(f"{c.field}: {c.value!r} is not allowed ({c.allowed})" for c in contradictions)
        raise PydanticCustomError("contradiction", "{text}", {"text": text, "contradictions": contradictions})


class Section(BaseModel):
    """What all parts of a run file share: immutable, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=False
    )


REQUIRED_ALGORITHM = ConfigDict(json_schema_extra={"required": ["algorithm"]})
"""For sections of algorithms that are not the default: in the JSON Schema too, a section is one algorithm's alone."""


class Schedule(Section):
    """A value that may change in a straight line over training; a plain number is a constant.

    At fraction f of the budgeted environment steps the value is `start + (end - start) * min(f / until, 1)`.
    """

    start: float = Field(description="Value at the start.")
    end: float = Field(description="Value from `until` on.")
    until: float = Field(default=1.0, gt=0, le=1, description="Fraction of training at which `end` is reached.")

    def at(self, fraction: float) -> float:
        """The value at a fraction of training, 0 to 1."""
        return self.start + (self.end - self.start) * min(fraction / self.until, 1.0)

    @property
    def constant(self) -> bool:
        """Whether the value never changes."""
        return self.start == self.end

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, data: Any) -> Any:
        if isinstance(data, int | float) and not isinstance(data, bool):
            return {"start": data, "end": data}
        return data

    @model_serializer(mode="wrap")
    def _to_number(self, handler: SerializerFunctionWrapHandler) -> float | dict[str, float]:
        return self.start if self == Schedule(start=self.start, end=self.start) else handler(self)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A number or the three keys."""
        keys = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [{"type": "number"}, keys]}


@dataclasses.dataclass(frozen=True)
class Within:
    """Bounds on both ends of a `Schedule`; the start must be more than the lower bound if `positive_start`."""

    minimum: float
    maximum: float
    positive_start: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checks after the schedule itself was read."""
        return core_schema.no_info_after_validator_function(self._within, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schedule's schema with bounds on the plain number."""
        lower = "exclusiveMinimum" if self.positive_start else "minimum"
        return {**handler(schema), lower: self.minimum, "maximum": self.maximum}

    def _within(self, schedule: Schedule) -> Schedule:
        inside = all(self.minimum <= value <= self.maximum for value in (schedule.start, schedule.end))
        if not inside or (self.positive_start and schedule.start <= self.minimum):
            raise PydanticCustomError("schedule_bounds", "must be {allowed}", {"allowed": str(self)})
        return schedule

    def __str__(self) -> str:
        over = f"more than {self.minimum:g} at the start, " if self.positive_start else ""
        return f"{over}from {self.minimum:g} to {self.maximum:g}"


def constant(value: float) -> Callable[[], Schedule]:
    """The default of a schedule that does not change."""
    return lambda: Schedule(start=value, end=value)


Layers = Annotated[
    tuple[Annotated[int, Field(ge=1, le=4096)], ...], Strict(strict=False), Field(min_length=1, max_length=8)
]
"""Units of each hidden layer."""
