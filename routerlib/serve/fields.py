"""What the bodies of all requests share: limits, and kinds of fields."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# The largest whole number that every reader of JSON takes exactly.
LARGEST_WHOLE = 2**53 - 1

# More than any client needs; what is wrong with each of very many would take long to say.
MOST_FIELDS = 100
MOST_MESSAGES = 5_000
MOST_PARTS = 1_000
MOST_BIASES = 5_000


def _whole(value: object) -> object:
    """Take 3.0 for 3, as JSON knows one kind of number only."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
CostWeight = Annotated[float, Field(ge=0, allow_inf_nan=False, description="Quality per US dollar")]
Nothing = Annotated[list[Any], Field(max_length=0)]


class Request(BaseModel):
    """Known fields only: an unknown one may stand there as null, which asks for nothing."""

    model_config = ConfigDict(
        extra="allow", strict=True, json_schema_extra={"maxProperties": MOST_FIELDS}
    )
    __pydantic_extra__: dict[str, None] = Field(init=False)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, given: object) -> object:
        if isinstance(given, dict) and len(given) > MOST_FIELDS:
            raise ValueError(f"expected at most {MOST_FIELDS} fields, got {len(given)}")
        return given
