"""The AsyncAPI file is that of the code, whole in itself, and its examples are what it says (E1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lorayard_schemas.asyncapi import FILE, asyncapi, asyncapi_file, write_asyncapi
from lorayard_schemas.channel import Carried, Plain
from lorayard_schemas.channels import CHANNELS, PARAMETERS
from lorayard_schemas.job import Lane
from lorayard_schemas.json_schemas import MESSAGES
from lorayard_schemas.message import CONTRACT_VERSION, Message
from lorayard_schemas.subjects import JobAddress, Subjects
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings

FOLDER = Path(__file__).parents[2] / "schemas"
DOCUMENT: dict[str, Any] = json.loads((FOLDER / FILE).read_text(encoding="utf-8"))
COMPONENTS: dict[str, Any] = DOCUMENT["components"]["messages"]
ADDRESSES: list[str] = [channel.address for channel in CHANNELS]


def references(tree: object) -> Iterator[str]:
    match tree:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for branch in tree.values():  # pyright: ignore[reportUnknownVariableType]
                yield from references(branch)  # pyright: ignore[reportUnknownArgumentType]
        case list():
            for branch in tree:  # pyright: ignore[reportUnknownVariableType]
                yield from references(branch)  # pyright: ignore[reportUnknownArgumentType]
        case _:
            pass


def resolved(reference: str) -> Any:
    file, _, path = reference.partition("#")
    found: Any = DOCUMENT if not file else json.loads((FOLDER / file).read_text(encoding="utf-8"))
    for step in path.split("/")[1:]:
        found = found[step]
    return found


def payload_schema(name: str) -> Any:
    payload = COMPONENTS[name]["payload"]
    return resolved(payload["$ref"]) if "$ref" in payload else payload


def test_every_channel_says_what_becomes_of_a_message_there__e1() -> None:
    lacking = [name for name, channel in DOCUMENT["channels"].items() if not channel.get("description")]
    assert lacking == []


def is_on_a_channel(subject: str) -> bool:
    patterns = (re.sub(r"\\\{\w+\\\}", "[^.]+", re.escape(address)) for address in ADDRESSES)
    return any(re.fullmatch(pattern, subject) for pattern in patterns)


def test_the_file_checked_in_is_that_of_the_code__e1(tmp_path: Path) -> None:
    """On a difference: `make schemas`."""
    assert (FOLDER / FILE).read_text(encoding="utf-8") == asyncapi_file()
    write_asyncapi(tmp_path)
    assert (tmp_path / FILE).read_text(encoding="utf-8") == asyncapi_file()


def test_it_has_the_version_of_the_contract__e1() -> None:
    (version,) = Message.model_fields["v"].annotation.__args__  # type: ignore[union-attr]
    assert DOCUMENT["info"]["version"] == CONTRACT_VERSION
    assert CONTRACT_VERSION.startswith(f"{version}.")


def test_every_message_that_travels_is_on_a_channel__e1() -> None:
    """A new message? Tell in one of the files of channels where it travels."""
    bodies = {body for channel in CHANNELS for body in (*channel.bodies, *channel.replies)}
    models = {body.model if isinstance(body, Carried) else body for body in bodies}
    assert models - set(Plain) == set(MESSAGES)


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 100
    assert all(resolved(reference) for reference in found)


def test_no_name_stands_for_two_things() -> None:
    names = [channel.name for channel in CHANNELS]
    assert len(set(names)) == len(names)
    assert len(set(ADDRESSES)) == len(ADDRESSES)
    told = {place for address in ADDRESSES for place in re.findall(r"\{(\w+)\}", address)}
    assert told == set(PARAMETERS)


def test_an_operations_messages_are_those_of_its_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        channel = resolved(operation["channel"]["$ref"])
        on_it = {id(message) for message in channel["messages"].values()}
        assert {id(resolved(message["$ref"])) for message in operation["messages"]} <= on_it


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_example_fits_its_message__e1(name: str) -> None:
    message = COMPONENTS[name]
    Draft202012Validator.check_schema(message.get("headers", {}))
    for example in message.get("examples", []):
        Draft202012Validator(payload_schema(name)).validate(example["payload"])


@pytest.mark.parametrize(
    "name", ["NewJob", "ScheduledJob", "HeardResult", "CancelJob", "CancelReply", "Stored", "PlaceReply"]
)
def test_what_clients_send_and_hear_has_an_example__e1(name: str) -> None:
    assert COMPONENTS[name]["examples"]


def test_the_addresses_are_the_subjects_that_the_code_uses__e1() -> None:
    subjects, address = Subjects(), JobAddress(lane=Lane.BULK, tenant="t", adapter="a/b/c@1")
    for subject in (
        subjects.job(address),
        subjects.due_job(address),
        subjects.delayed_job("t", "j"),
        subjects.result("t", "j"),
        subjects.done("t", "j"),
        subjects.dead_letter("t", None, "j"),
        subjects.unreadable_letter("t"),
        subjects.job_audit("decision", "t", "j"),
        subjects.worker_audit("drain", "w"),
        subjects.registry_audit("aliases", "a/b/c", "3"),
        subjects.assign("w"),
        subjects.control("w", "pin"),
        subjects.dispatcher("cancel"),
        subjects.load("d"),
    ):
        assert is_on_a_channel(subject), subject


def test_what_keeps_a_channel_is_declared() -> None:
    names = {
        stream.name.removeprefix("KV_").removeprefix("OBJ_") for stream in topology(YardSettings()).streams
    }
    assert {channel.kept for channel in CHANNELS if channel.kept} <= names


def test_the_lanes_and_orders_are_told() -> None:
    parameters = asyncapi()["channels"]["jobs"]["parameters"]
    assert parameters["lane"]["enum"] == [lane.value for lane in Lane]
    assert "pin" in asyncapi()["channels"]["adapterOrder"]["parameters"]["order"]["enum"]
