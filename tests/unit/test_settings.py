"""A setting that makes no sense stops the process at its start, by name."""

from __future__ import annotations

from typing import Any

import pytest

from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_shared.bus.topology import topology
from lorayard_shared.bus_url import addresses, without_login
from lorayard_shared.errors import BusUnavailableError, SettingsError
from lorayard_shared.settings import YardSettings, read_settings
from lorayard_workers.settings import WorkerSettings


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORAYARD_PREFIX", "from-environment")
    assert read_settings(YardSettings, prefix="given").prefix == "given"
    assert read_settings(YardSettings, prefix=None).prefix == "from-environment"
    monkeypatch.delenv("LORAYARD_PREFIX")
    assert read_settings(YardSettings).prefix == "yard"


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (YardSettings, "prefix", "Yard"),
        (YardSettings, "prefix", "a.b"),
        (YardSettings, "prefix", "a_b"),
        (YardSettings, "prefix", "yard\n"),
        (YardSettings, "prefix", ""),
        (YardSettings, "ack_wait_seconds", "0.5"),
        (YardSettings, "ack_wait_seconds", "inf"),
        (YardSettings, "ack_wait_seconds", "nan"),
        (YardSettings, "connect_timeout_seconds", "0"),
        (YardSettings, "connect_timeout_seconds", "inf"),
        (YardSettings, "result_ttl_seconds", "1.5"),
        (YardSettings, "window", "0"),
        (YardSettings, "replicas", "7"),
        (YardSettings, "jobs_max_bytes", "1"),
        (DispatcherSettings, "max_deliveries", "1"),
        (DispatcherSettings, "default_adapter", "Nonsense"),
        (WorkerSettings, "name", "a.b"),
        (WorkerSettings, "name", ""),
        (WorkerSettings, "engine", "magic"),
        (WorkerSettings, "rows", "0"),
        (WorkerSettings, "threads", "100000"),
        (WorkerSettings, "max_rank", "1000000000"),
        (WorkerSettings, "device", "foo"),
        (WorkerSettings, "drain_seconds", "-1"),
    ],
)
def test_a_bad_value_is_named_as_the_operator_wrote_it(
    kind: type[YardSettings], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LORAYARD_{name.upper()}", value)
    with pytest.raises(SettingsError) as caught:
        read_settings(kind)
    assert caught.value.setting == f"LORAYARD_{name.upper()}"
    assert repr(value) in caught.value.reason


@pytest.mark.parametrize("given", [{"ack_wait_seconds": 86_400.0}, {"ack_wait_seconds": 1.0}])
def test_every_allowed_value_makes_a_topology(given: dict[str, Any]) -> None:
    assert topology(read_settings(YardSettings, **given)).consumers


def test_two_renewals_may_be_lost_before_a_lease_runs_out() -> None:
    settings = YardSettings(ack_wait_seconds=15.0)
    assert 2 * settings.renew_seconds < settings.ack_wait_seconds


def test_settings_never_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        YardSettings().prefix = "other"  # type: ignore[misc]  # what the test is about


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("nats://me:secret@bus:4222", "nats://***@bus:4222"),
        ("me:secret@bus", "***@bus"),
        ("nats://token-secret@bus", "nats://***@bus"),
        ("nats://me:se@cr/secret@bus", "nats://***@bus"),
        ("nats://me:secret@a:4222, nats://me:se,secret@b", "nats://***@a:4222,nats://***@b"),
        ("me:secret@a,b", "***@a,b"),
        ("b,me:secret@a", "***@a"),
    ],
)
def test_an_address_is_shown_without_its_login(url: str, shown: str) -> None:
    assert without_login(url) == shown
    assert "secret" not in str(BusUnavailableError(url=url, reason="refused"))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("nats://a:4222", ["nats://a:4222"]),
        ("nats://a:4222, nats://b:4223,c", ["nats://a:4222", "nats://b:4223", "c"]),
        ("nats://me:one,two@a", ["nats://me:one,two@a"]),
        ("nats://me:one@a,nats://me:two@b", ["nats://me:one@a", "nats://me:two@b"]),
        ("wss://a,ws://b", ["wss://a", "ws://b"]),
    ],
)
def test_a_bus_may_have_several_addresses_and_a_comma_in_a_password_parts_none(
    url: str, found: list[str]
) -> None:
    assert addresses(read_settings(YardSettings, url=url).url) == found


@pytest.mark.parametrize("url", ["nats://a,", ",nats://a", "nats://a,http://b", "nats://a,ws://b", "a,b c"])
def test_each_of_several_addresses_must_be_one(url: str) -> None:
    with pytest.raises(SettingsError, match="LORAYARD_URL"):
        read_settings(YardSettings, url=url)


def test_a_password_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings(YardSettings, url="nats://me:secret@bus", password="secret")
    assert settings.shown_url == "nats://***@bus"
    assert "secret" not in repr(settings.password)
    monkeypatch.setenv("LORAYARD_URL", "http://me:secret@bus")
    with pytest.raises(SettingsError, match="LORAYARD_URL") as refused:
        read_settings(YardSettings)
    assert "secret" not in str(refused.value)
    assert "secret" not in str(refused.value.__cause__)
