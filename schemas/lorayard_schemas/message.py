"""The base of everything that travels: frozen, versioned, tolerant of fields a newer peer may write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails

CONTRACT_VERSION = "1.0.0"
"""Of what travels, as a whole: the first number is the `v` of every message, the second grows with subjects,
messages and fields that are new, the third with words."""


LEAST_WHOLE, WHOLE_END = -(2**63), 2**64
"""What msgpack can say of whole numbers. JSON, a text or a large fraction says more: as a number it could be
read, and not be written again."""


def _bounded(schema: Any) -> Any:
    """A core schema in which no whole number is without bounds."""
    if isinstance(schema, list):
        return [_bounded(each) for each in schema]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(schema, dict):
        return schema
    told: dict[Any, Any] = {key: _bounded(value) for key, value in schema.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if told.get("type") == "int":
        if "ge" not in told and "gt" not in told:
            told["ge"] = LEAST_WHOLE
        if "le" not in told and "lt" not in told:
            told["lt"] = WHOLE_END
    return told


class Part(BaseModel):
    """A nested value inside a message.

    What is read may have fields of a newer peer, which are ignored. Who makes one by its name means what he
    writes: there an unknown field is a slip of the pen, and a `ValidationError`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    if not TYPE_CHECKING:  # else type checkers would know the fields no more

        def __init__(self, /, **given: Any) -> None:
            if not given.keys() <= self.__pydantic_fields__.keys():
                raise _unknown_fields(type(self), given)
            self.__pydantic_validator__.validate_python(given, self_instance=self)

        # As pydantic's own RootModel says it: what is nested in a message is read without this.
        __init__.__pydantic_base_init__ = True

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Every whole number is one that can travel."""
        bounded: CoreSchema = _bounded(handler(source))
        return bounded


class Message(Part):
    """A whole message on the bus. `v` changes only when a reader of the old shape would be wrong."""

    v: Literal[1] = 1


def _unknown_fields(kind: type[Part], given: Mapping[str, Any]) -> ValidationError:
    errors: list[InitErrorDetails] = [
        {"type": "extra_forbidden", "loc": (name,), "input": given[name]}
        for name in given
        if name not in kind.__pydantic_fields__
    ]
    return ValidationError.from_exception_data(kind.__name__, errors)
