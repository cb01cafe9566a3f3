"""Job ids: one subject token each, unique, or derived from the idempotency key (E4)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from lorayard import InvalidRequestError
from lorayard.job_ids import check_job_id, keyed_job_id, random_job_id
from lorayard_schemas.names import JobId

JOB_ID: TypeAdapter[str] = TypeAdapter(JobId)

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


def test_random_ids_differ_and_are_ids() -> None:
    ids = {random_job_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(JOB_ID.validate_python(job_id) == check_job_id(job_id) for job_id in ids)


@given(tenant=texts, salt=st.text(st.characters(codec="utf-8")), key=texts)
def test_a_key_gives_the_same_id_every_time(tenant: str, salt: str, key: str) -> None:
    job_id = keyed_job_id(tenant=tenant, salt=salt, key=key)
    assert job_id == keyed_job_id(tenant=tenant, salt=salt, key=key)
    assert JOB_ID.validate_python(job_id) == job_id


def test_tenant_salt_and_key_each_make_another_id() -> None:
    ids = {
        keyed_job_id(tenant=tenant, salt=salt, key=key)
        for tenant in ("a", "b")
        for salt in ("", "s")
        for key in ("1", "2")
    }
    assert len(ids) == 8


@pytest.mark.parametrize("key", ["", 7, b"key"])
def test_a_key_must_be_a_text(key: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        keyed_job_id(tenant="t", salt="", key=key)
    assert caught.value.field == "idempotency_key"


@pytest.mark.parametrize("job_id", ["", "a.b", "*", ">", "a b", "x" * 65, "a\n"])
def test_what_is_no_id_is_refused(job_id: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_job_id(job_id)
    assert caught.value.field == "job_id"
