"""The AsyncAPI 3.0 file: every channel, operation, message and header of a yard, for tools of any language.

Payloads refer to the JSON Schema files beside it. Actions are the yard's: it receives jobs and sends results.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lorayard_schemas.channel import Body, Carried, Channel, Header, Plain
from lorayard_schemas.channels import CHANNELS, PARAMETERS
from lorayard_schemas.job import Lane
from lorayard_schemas.message import CONTRACT_VERSION
from lorayard_schemas.message_examples import examples_of
from lorayard_schemas.order import OrderVerb

FILE = "asyncapi.json"

Tree = dict[str, Any]

_ABOUT = (
    "Many LoRA adapters over one base model, served from a NATS bus. docs/bus.md tells the same in words. "
    "Actions are the yard's: where it receives, a client publishes or asks. Bodies that you send are JSON or "
    "msgpack, those of the yard msgpack. Fields that are null are left out, and unknown ones ignored. "
    "Subjects have the default prefix `yard`."
)

_PLACE = re.compile(r"\{(\w+)\}")
_WORDS: dict[str, list[str]] = {"lane": list(Lane), "order": list(OrderVerb)}

_PLAIN: dict[Plain, Tree] = {
    Plain.NOTHING: {"summary": "An empty body.", "payload": {"type": "string", "maxLength": 0}},
    Plain.STORED: {
        "summary": "A stream's answer to a publish: stored, stored before, or refused.",
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "properties": {
                "stream": {"type": "string"},
                "seq": {"type": "integer"},
                "duplicate": {"type": "boolean", "description": "The stream had the message before."},
                "batch": {"type": "string"},
                "count": {"type": "integer", "description": "Messages of the batch."},
                "error": {
                    "type": "object",
                    "properties": {
                        "code": {"type": "integer"},
                        "err_code": {
                            "type": "integer",
                            "description": "Branch on this: 10077 is a full queue.",
                        },
                        "description": {"type": "string"},
                    },
                    "required": ["code", "err_code"],
                },
            },
        },
        "examples": [
            {"name": "stored", "payload": {"stream": "YARD_JOBS", "seq": 4}},
            {"name": "duplicate", "payload": {"stream": "YARD_JOBS", "seq": 4, "duplicate": True}},
            {
                "name": "full",
                "payload": {
                    "error": {"code": 503, "err_code": 10077, "description": "maximum bytes exceeded"},
                    "stream": "YARD_JOBS",
                    "seq": 0,
                },
            },
        ],
    },
    Plain.SERVICE_ERROR: {
        "summary": "The order could not be followed.",
        "headers": {
            "type": "object",
            "properties": {
                "Nats-Service-Error": {"type": "string", "description": "Why, for people."},
                "Nats-Service-Error-Code": {"type": "string", "description": "As of HTTP: 400, 500, 503."},
            },
            "required": ["Nats-Service-Error", "Nats-Service-Error-Code"],
        },
        "payload": {"type": "string", "maxLength": 0},
    },
}


def asyncapi() -> Tree:
    """The whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "lorayard",
            "version": CONTRACT_VERSION,
            "license": {"name": "Apache-2.0"},
            "description": _ABOUT,
        },
        "defaultContentType": "application/msgpack",
        "servers": {
            "embedded": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "As `lorayard up` starts it; JetStream of nats-server 2.12 or newer.",
            }
        },
        "channels": {**{channel.name: _channel(channel) for channel in CHANNELS}, "inbox": _inbox()},
        "operations": {channel.name: _operation(channel) for channel in CHANNELS},
        "components": {"messages": {_name(body): _message(body) for body in _bodies()}},
    }


def asyncapi_file() -> str:
    """The document as it is checked in."""
    return json.dumps(asyncapi(), indent=2) + "\n"


def write_asyncapi(folder: Path) -> None:
    """Write the file; `folder` has the JSON Schema files in `json/`."""
    (folder / FILE).write_text(asyncapi_file(), encoding="utf-8")


def _bodies() -> list[Body]:
    bodies = [body for channel in CHANNELS for body in (*channel.bodies, *channel.replies)]
    return list(dict.fromkeys(bodies))


def _name(body: Body) -> str:
    if isinstance(body, Plain):
        return body.value
    return body.name if isinstance(body, Carried) else body.__name__


def _message(body: Body) -> Tree:
    if isinstance(body, Plain):
        return {"name": body.value, **_PLAIN[body]}
    model = body.model if isinstance(body, Carried) else body
    told: Tree = {"name": model.__name__, "summary": _first_line(model.__doc__ or "")}
    if isinstance(body, Carried):
        told["headers"] = _headers(body.headers)
    told["payload"] = {"$ref": f"./json/{model.__name__}.json"}
    if examples := examples_of(model):
        told["examples"] = examples
    return told


def _headers(headers: tuple[Header, ...]) -> Tree:
    told: Tree = {"type": "object", "properties": {header.name: _header(header) for header in headers}}
    if required := [header.name for header in headers if header.required]:
        told["required"] = required
    return told


def _header(header: Header) -> Tree:
    told = {"type": "string", "description": header.meaning}
    return {**told, "pattern": header.pattern} if header.pattern else told


def _channel(channel: Channel) -> Tree:
    told: Tree = {
        "address": channel.address,
        "summary": channel.summary,
        "messages": {_name(body): _component(body) for body in channel.bodies},
    }
    if named := _PLACE.findall(channel.address):
        told["parameters"] = {name: _parameter(name) for name in named}
    told["description"] = _how(channel)
    if channel.inside:
        told["tags"] = [
            {"name": "inside", "description": "Between the parts of a yard: clients need none of it."}
        ]
    return told


def _how(channel: Channel) -> str:
    """What becomes of a message there: whether it can be missed."""
    if channel.about:
        return channel.about
    if channel.kept:
        return f"Kept in {channel.kept}."
    if channel.replies:
        return "A request; what nobody answers is lost, and is asked again."
    return "Kept nowhere: who does not listen misses it, and nothing depends on hearing all."


def _parameter(name: str) -> Tree:
    words = {"enum": [str(word) for word in _WORDS[name]]} if name in _WORDS else {}
    return {"description": PARAMETERS[name], **words}


def _inbox() -> Tree:
    replies = dict.fromkeys(body for channel in CHANNELS for body in channel.replies)
    return {
        "address": None,
        "summary": "The reply subject of a request.",
        "description": "Of the requester's own making, as NATS clients do it; each answer comes once.",
        "messages": {_name(body): _component(body) for body in replies},
    }


def _operation(channel: Channel) -> Tree:
    told: Tree = {
        "action": channel.side.value,
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "summary": channel.summary,
        "messages": [_on(channel.name, body) for body in channel.bodies],
    }
    if channel.replies:
        told["reply"] = {
            "channel": {"$ref": "#/channels/inbox"},
            "messages": [_on("inbox", body) for body in channel.replies],
        }
    return told


def _on(channel: str, body: Body) -> Tree:
    return {"$ref": f"#/channels/{channel}/messages/{_name(body)}"}


def _component(body: Body) -> Tree:
    return {"$ref": f"#/components/messages/{_name(body)}"}


def _first_line(doc: str) -> str:
    return doc.strip().splitlines()[0].replace("``", "`")
