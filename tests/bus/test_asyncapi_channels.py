"""What a running yard answers on is told in the AsyncAPI file (E1)."""

from __future__ import annotations

import json
import re

import pytest
from tests.bus.conftest import Yard

from lorayard_schemas.channels import CHANNELS

pytestmark = pytest.mark.bus


async def test_every_endpoint_of_a_running_yard_is_a_channel__e1(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    inbox = yard.bus.nc.new_inbox()
    heard = await yard.bus.nc.subscribe(inbox)
    await yard.bus.nc.publish("$SRV.INFO", b"", reply=inbox)
    subjects: set[str] = set()
    services: set[str] = set()
    while len(services) < 2:
        told = json.loads((await heard.next_msg(timeout=30)).data)
        mine = {endpoint["subject"] for endpoint in told["endpoints"]}
        if any(subject.startswith(f"{yard.settings.prefix}.") for subject in mine):
            services.add(told["name"])
            subjects |= mine
    patterns = [
        re.sub(r"\\\{\w+\\\}", "[^.]+", re.escape(channel.address.replace("yard", yard.settings.prefix, 1)))
        for channel in CHANNELS
    ]
    unknown = [subject for subject in subjects if not any(re.fullmatch(p, subject) for p in patterns)]
    assert not unknown
    assert len(subjects) > 10
