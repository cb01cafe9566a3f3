"""Bounds of request fields for the OpenAPI document, taken from the models that enforce them further in."""

from __future__ import annotations

from typing import Any, Final

from lorayard_schemas.job import Sampling

JsonMap = dict[str, Any]

_SAME: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "stop",
    "stop_token_ids",
)
_AS: Final = {
    **{name: name for name in _SAME},
    "min_tokens": "min_new_tokens",
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "top_logprobs": "logprobs",
}
"""Field of a body -> field of `Sampling`."""

_KINDS: Final[tuple[str, ...]] = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "maxItems",
    "maxProperties",
    "items",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
)

_SEGMENT: Final = "[a-z0-9][a-z0-9._-]{0,63}"
_NAME: Final = f"(base|auto|{_SEGMENT}/{_SEGMENT}/{_SEGMENT}(@[A-Za-z0-9._+-]{{1,64}})?)"
_PART: Final = f" *{_NAME} *(=[^,]*)?"
MODEL: Final = f"^{_PART}(,{_PART})*$"
"""One name, or several with weights."""


def bounded(body: JsonMap) -> JsonMap:
    """The schema of a body with the bounds of its fields."""
    sampling = Sampling.model_json_schema()["properties"]
    properties = dict(body["properties"])
    for name, source in _AS.items():
        if name in properties:
            properties[name] = _with(properties[name], _plain(sampling[source]))
    if properties.get("logprobs", {}).get("type") != "boolean":
        properties["logprobs"] = _with(properties["logprobs"], _plain(sampling["logprobs"]))
    properties["model"] = {**properties["model"], "pattern": MODEL}
    return {**body, "properties": properties}


def _plain(schema: JsonMap) -> JsonMap:
    """Without its null."""
    for one in schema.get("anyOf", ()):
        if one.get("type") != "null":
            return dict(one)
    return schema


def _with(schema: JsonMap, source: JsonMap) -> JsonMap:
    given = {kind: source[kind] for kind in _KINDS if kind in source}
    if "anyOf" not in schema:
        return {**schema, **given}
    branches = [one if one.get("type") == "null" else {**one, **given} for one in schema["anyOf"]]
    return {**schema, "anyOf": branches}
