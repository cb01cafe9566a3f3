"""`/v1/embeddings`: refused in OpenAI's words, for no engine of a yard gives any."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from lorayard.openai_shapes import BodyError
from lorayard_gateway.errors import model_unknown, no_embeddings
from lorayard_gateway.gateway import Gateway
from lorayard_schemas.reasons import plain_reason


class EmbeddingsBody(BaseModel):
    """As much as decides who is meant."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    model: str = Field(min_length=1)
    input: str | list[str] | list[int] | list[list[int]]


async def answer(gateway: Gateway, request: Request, tenant: str, _id: str) -> Response:
    """Say that the model gives none.

    Raises:
        ApiError: always.
        BodyError: the body names no model.
    """
    body = await gateway.bodies.json(request)
    try:
        asked = EmbeddingsBody.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "body"
        raise BodyError(field=field, reason=plain_reason(first)) from error
    if gateway.catalogue.find(asked.model, tenant) is None:
        raise model_unknown(asked.model)
    raise no_embeddings(asked.model)
