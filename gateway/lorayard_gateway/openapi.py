"""The OpenAPI document, made from the models that read and write the bodies."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from lorayard.openai_shapes.body import ChatBody, TextBody
from lorayard_gateway.answer_shapes import ErrorBody, Health
from lorayard_gateway.openapi_bounds import bounded
from lorayard_gateway.openapi_operations import ERRORS, OPERATIONS, Operation
from lorayard_gateway.replies import json_text
from lorayard_gateway.wishes import DEADLINE, IDEMPOTENCY, ON_DISCONNECT, PRIORITY, REQUEST_ID, RESUME
from lorayard_schemas.job import Lane

VERSION: Final = "1"
"""Of OpenAI's API, as its paths have it."""

JsonMap = dict[str, Any]

_BOUNDED: Final = frozenset({ChatBody.__name__, TextBody.__name__})

_HEADERS: Final[tuple[tuple[str, str, JsonMap], ...]] = (
    (PRIORITY, "The lane; else `normal`.", {"type": "string", "enum": [lane.value for lane in Lane]}),
    (
        DEADLINE,
        "Seconds from now after which nobody waits for the answer: 504 then.",
        {"type": "number", "exclusiveMinimum": 0},
    ),
    (
        IDEMPOTENCY,
        "The same key and request give the same answer, which is made once.",
        {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
    ),
    (
        ON_DISCONNECT,
        "Whether work goes on when its client goes; it does where there is an idempotency key.",
        {"type": "string", "enum": ["cancel", "continue"]},
    ),
)


def openapi_document() -> JsonMap:
    """The whole document."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ErrorBody, "serialization")]
    for one in OPERATIONS:
        if one.answer is not None:
            models.append((one.answer, "serialization"))
        if one.body is not None:
            models.append((one.body, "validation"))
    refs, shared = models_json_schema(models, ref_template="#/components/schemas/{model}")
    bodies = {one.body.__name__ for one in OPERATIONS if one.body is not None}
    paths: JsonMap = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method] = _operation(one, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lorayard gateway",
            "version": VERSION,
            "description": "OpenAI's API before a yard of LoRA adapters.",
        },
        "paths": paths,
        "components": {
            "schemas": _nullable(shared["$defs"], bodies),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def openapi_text() -> str:
    """As it is served."""
    return json_text(openapi_document())


def _operation(one: Operation, refs: Any) -> JsonMap:
    told: JsonMap = {"operationId": one.name, "summary": one.summary, "responses": _responses(one, refs)}
    if one.open:
        told["security"] = []
    parameters = [_parameter(name, "path", what, {"type": "string"}) for name, what in one.places.items()]
    parameters += _query(one)
    if not one.open:
        name = "An id for logs and records; repeated in the answer."
        parameters.append(_parameter(REQUEST_ID, "header", name, {"type": "string"}))
    parameters += [
        _parameter(name, "header", what, schema)
        for name, what, schema in _HEADERS
        if one.streams or (one.keyed and name == IDEMPOTENCY)
    ]
    if one.streams:
        resume = "The id of the last event that was read, to go on behind it; only with `stream`."
        parameters.append(_parameter(RESUME, "header", resume, {"type": "string", "const": ""}))
    if parameters:
        told["parameters"] = parameters
    if one.body is not None:
        content = {"application/json": {"schema": refs[one.body, "validation"]}}
        told["requestBody"] = {"required": True, "content": content}
    if one.form is not None:
        content = {"multipart/form-data": {"schema": _form(one.form)}}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _query(one: Operation) -> list[JsonMap]:
    if one.query is None:
        return []
    fields = one.query.model_json_schema()["properties"]
    return [_parameter(name, "query", name, _not_null(schema)) for name, schema in fields.items()]


def _form(fields: type[BaseModel]) -> JsonMap:
    """A form's schema: with its file, and without null, which a form cannot say."""
    schema = fields.model_json_schema(by_alias=True)
    properties = {name: _not_null(told) for name, told in schema["properties"].items()}
    properties["file"] = {"type": "string", "format": "binary", "description": "With a name."}
    return {**schema, "properties": properties, "required": ["file", *schema["required"]]}


def _not_null(schema: JsonMap) -> JsonMap:
    plain = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    return {key: value for key, value in plain.items() if key not in ("title", "default")}


def _parameter(name: str, where: str, what: str, schema: JsonMap) -> JsonMap:
    return {"name": name, "in": where, "required": where == "path", "description": what, "schema": schema}


def _responses(one: Operation, refs: Any) -> JsonMap:
    told: JsonMap = {}
    if one.answer is not None:
        content: JsonMap = {"application/json": {"schema": refs[one.answer, "serialization"]}}
        if one.streams:
            content["text/event-stream"] = {"schema": {"type": "string"}}
        told["200"] = {"description": "The answer.", "content": content}
    elif one.gives_bytes:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        told["200"] = {"description": "The bytes.", "content": content}
    elif one.body is None:
        told["200"] = {"description": "The document.", "content": {"application/json": {"schema": {}}}}
    if one.answer is Health:
        content = {"application/json": {"schema": refs[Health, "serialization"]}}
        told["503"] = {"description": "It does not.", "content": content}
    for status in one.errors:
        schema = {"schema": refs[ErrorBody, "serialization"]}
        told[status] = {"description": ERRORS[status], "content": {"application/json": schema}}
    return told


def _nullable(schemas: JsonMap, bodies: set[str]) -> JsonMap:
    """Schemas of requests, in which a field that may be left out may be null as well: official clients send
    it so."""
    reached = _reached(schemas, bodies)
    schemas = schemas | {name: bounded(schemas[name]) for name in bodies if name in _BOUNDED}
    return {name: _open(schema) if name in reached else schema for name, schema in schemas.items()}


def _open(schema: JsonMap) -> JsonMap:
    required = set(schema.get("required", ()))
    properties = {
        name: told if name in required or _takes_null(told) else {"anyOf": [told, {"type": "null"}]}
        for name, told in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else schema


def _takes_null(schema: JsonMap) -> bool:
    return schema.get("type") == "null" or any(_takes_null(one) for one in schema.get("anyOf", ()))


def _reached(schemas: JsonMap, names: set[str]) -> set[str]:
    reached = set(names)
    while more := {ref for name in reached for ref in _refs(schemas[name])} - reached:
        reached |= more
    return reached


def _refs(schema: object) -> set[str]:
    if isinstance(schema, list):
        return {ref for one in schema for ref in _refs(one)}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if not isinstance(schema, dict):
        return set()
    found = {ref for one in schema.values() for ref in _refs(one)}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    ref = schema.get("$ref")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return found | ({ref.rpartition("/")[2]} if isinstance(ref, str) else set())
