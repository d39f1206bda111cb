"""The decider of conversion jobs, and what it means for blobs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any
from uuid import UUID, uuid4

import pytest

from bounded_contexts.documents.domain.commands import (
    Begin,
    Cancel,
    Command,
    Complete,
    Delete,
    Expire,
    Fail,
    RequestConversion,
    document_id_of,
)
from bounded_contexts.documents.domain.conversion import ATTEMPTS, DEATHS, INITIAL, Job, decide, evolve, kept, visible
from bounded_contexts.documents.domain.losses import Loss
from shared_kernel.errors import NotFound, Refused, Taken

ID, USER, INPUT, RESULT = uuid4(), uuid4(), uuid4(), uuid4()
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
REQUEST = RequestConversion(
    document_id=ID,
    user_id=USER,
    read="json",
    write="csv",
    options={"delimiter": ";"},
    packing="identity",
    name="orders.json",
    input_id=INPUT,
    input_bytes=10,
    input_sha256="ab",
    at=NOW,
)
BEGIN = Begin(document_id=ID, why=None, at=NOW)
COMPLETE = Complete(
    document_id=ID,
    result_id=RESULT,
    result_bytes=7,
    result_sha256="cd",
    losses={"null_as_text": 1},
    first_losses=(Loss("null_as_text", "/0/a", "null"),),
    notes={"charset": "utf-8"},
    at=NOW,
    expires_at=LATER,
)
FAIL = Fail(document_id=ID, code="bad_json", detail="no", place={"line": "1"}, at=NOW)
CANCEL = Cancel(document_id=ID, user_id=USER, at=NOW)
EXPIRE = Expire(document_id=ID, at=LATER)
DELETE = Delete(document_id=ID, user_id=USER, at=NOW)
ENDS: dict[str, Command] = {"converted": COMPLETE, "failed": FAIL, "cancelled": CANCEL}


def after(*asks: Command) -> Job | None:
    state: Job | None = INITIAL
    for ask in asks:
        state = reduce(evolve, decide(state, ask), state)
    return state


def status_after(*asks: Command) -> str:
    state = after(*asks)
    assert state
    return state.status


def test_a_job_waits_runs_and_ends_with_what_came_out() -> None:
    job = after(REQUEST, BEGIN, COMPLETE)

    assert job
    assert job.result
    assert (status_after(REQUEST), status_after(REQUEST, BEGIN), job.status) == ("waiting", "running", "converted")
    assert job.result.first_losses == COMPLETE.first_losses
    assert (job.result.id, job.result.expires_at, job.attempts) == (RESULT, LATER, 1)


def test_a_failure_keeps_code_and_place() -> None:
    job = after(REQUEST, BEGIN, FAIL)

    assert job
    assert job.failure
    assert (job.status, job.failure.code, job.failure.place) == ("failed", "bad_json", {"line": "1"})


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", [COMPLETE, FAIL, BEGIN])
def test_the_first_outcome_holds(first: str, second: Command) -> None:
    job = after(REQUEST, BEGIN, ENDS[first])

    assert decide(job, second) == ()


def test_the_same_request_again_is_the_same_job_and_another_is_refused() -> None:
    job = after(REQUEST, BEGIN)

    assert decide(job, replace(REQUEST, input_id=uuid4(), at=LATER)) == ()
    changes: list[dict[str, Any]] = [{"write": "xml"}, {"input_sha256": "ef"}, {"options": {}}, {"name": None}]
    for change in changes:
        with pytest.raises(Refused, match="idempotency_mismatch"):
            decide(job, replace(REQUEST, **change))
    with pytest.raises(Refused, match="idempotency_mismatch"):
        decide(after(REQUEST, DELETE), REQUEST)


def test_ids_follow_from_user_and_key() -> None:
    other = uuid4()

    assert document_id_of(USER, "a") == document_id_of(USER, "a")
    assert len({document_id_of(USER, "a"), document_id_of(USER, "b"), document_id_of(other, "a")}) == 3


def test_it_is_given_up_after_so_many_deaths_of_workers_with_the_last_reason() -> None:
    died = replace(BEGIN, why="worker_died")

    tried, given_up = after(REQUEST, BEGIN, *[died] * (DEATHS - 1)), after(REQUEST, BEGIN, *[died] * DEATHS)

    assert tried
    assert tried.status == "running"
    assert given_up
    assert given_up.failure
    assert given_up.failure.code == "worker_died"


def test_interruptions_do_not_count_as_deaths() -> None:
    died = replace(BEGIN, why="worker_died")
    interrupted = after(REQUEST, BEGIN, *[died, BEGIN] * (DEATHS - 1), *[BEGIN] * 20)

    assert interrupted
    assert (interrupted.status, interrupted.deaths) == ("running", DEATHS - 1)


def test_what_is_interrupted_without_end_is_given_up() -> None:
    tried = after(REQUEST, *[BEGIN] * ATTEMPTS)

    given_up = evolve_all(tried, BEGIN)

    assert tried
    assert tried.status == "running"
    assert given_up
    assert given_up.failure
    assert given_up.failure.code == "conversion_interrupted"


def evolve_all(state: Job | None, ask: Command) -> Job | None:
    return reduce(evolve, decide(state, ask), state)


def test_only_what_is_open_is_cancelled_and_twice_is_once() -> None:
    assert status_after(REQUEST, BEGIN, CANCEL) == status_after(REQUEST, CANCEL, CANCEL) == "cancelled"
    for end in (COMPLETE, FAIL):
        with pytest.raises(Taken, match="conversion_over"):
            decide(after(REQUEST, end), CANCEL)


def test_a_result_expires_when_its_time_has_come_and_not_before() -> None:
    job = after(REQUEST, COMPLETE)

    assert decide(job, replace(EXPIRE, at=LATER - timedelta(microseconds=1))) == ()
    assert status_after(REQUEST, COMPLETE, EXPIRE, EXPIRE) == "expired"
    assert decide(after(REQUEST, FAIL), EXPIRE) == ()


@pytest.mark.parametrize("ask", [CANCEL, DELETE])
def test_a_job_is_there_for_its_owner_only(ask: Cancel | Delete) -> None:
    job = after(REQUEST)

    for state in (job, None, after(REQUEST, DELETE)):
        with pytest.raises(NotFound, match="conversion_not_found"):
            decide(state, replace(ask, user_id=uuid4()))
    with pytest.raises(NotFound):
        visible(after(REQUEST, DELETE), None)
    assert visible(job, USER) is visible(job, None) is job


@pytest.mark.parametrize(
    ("asks", "needed"),
    [
        ((), set()),
        ((REQUEST,), {INPUT}),
        ((REQUEST, BEGIN), {INPUT}),
        ((REQUEST, BEGIN, COMPLETE), {RESULT}),
        ((REQUEST, BEGIN, FAIL), set()),
        ((REQUEST, CANCEL), set()),
        ((REQUEST, COMPLETE, EXPIRE), set()),
        ((REQUEST, COMPLETE, DELETE), set()),
    ],
)
def test_blobs_are_needed_as_long_as_somebody_may_read_them(asks: tuple[Command, ...], needed: set[UUID]) -> None:
    assert kept(after(*asks)) == needed
