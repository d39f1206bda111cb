"""What may be published to user interfaces: channels, scopes, and the fact that follows."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bounded_contexts.realtime.application.channels import checked_globs, fits, named
from bounded_contexts.realtime.application.publishing import (
    PAYLOAD_LIMIT,
    Publisher,
    PublishPorts,
    Update,
    json_of,
    publish,
    published,
    publisher,
)
from shared_kernel.errors import Forbidden, Refused, Unavailable
from shared_kernel.events import Event, Position
from shared_kernel.permissions import is_scope

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ANN = UUID(int=1)
ANYWHERE = Publisher("service:1", ("*",))
NEWS = Update(channel="news", payload="1")


@pytest.mark.parametrize(
    ("given", "channel"),
    [
        ({"channel": "orders/7.eu:b-c_d"}, "orders/7.eu:b-c_d"),
        ({"user_id": ANN}, f"user:{ANN}"),
        ({"role": "admin"}, "role:admin"),
        ({"tenant": "acme"}, "tenant:acme"),
        ({"channel": "x" * 200}, "x" * 200),
    ],
)
def test_an_update_goes_to_one_channel(given: dict[str, object], channel: str) -> None:
    update = Update(channel=named(**given), payload="1")  # type: ignore[arg-type]

    assert published(update, ANYWHERE, NOW).channel == channel


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"channel": "news", "role": "admin"},
        {"channel": ""},
        {"channel": "a b"},
        {"channel": "news\n"},
        {"channel": "é"},
        {"channel": "x" * 201},
        {"channel": f"user:{ANN}"},
        {"channel": "role:admin"},
        {"channel": "tenant:acme"},
        {"role": "a b"},
        {"tenant": "x" * 200},
    ],
)
def test_what_is_no_channel_or_several_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(Refused):
        published(Update(channel=named(**given), payload="1"), ANYWHERE, NOW)  # type: ignore[arg-type]


def test_a_glob_opens_what_fits_it() -> None:
    assert fits("orders/7", ["news", "orders/*"])
    assert not fits("orders", ["orders/*"])
    assert not fits("Orders/7", ["orders/*"])
    assert checked_globs(["b", "a*", "b"]) == ("a*", "b")
    for wrong in ([], ["a b"], ["[a]"], ["?"]):
        with pytest.raises(Refused):
            checked_globs(wrong)


@pytest.mark.parametrize(
    ("roles", "scopes", "who"),
    [
        ({"admin"}, None, Publisher(f"user:{ANN}", ("*",))),
        ({"admin"}, {"realtime:publish:news"}, Publisher(f"user:{ANN}", ("news",))),
        ({"service"}, {"realtime:publish"}, Publisher(f"service:{ANN}", ("*",))),
        ({"service"}, {"realtime:publish:b*", "realtime:publish:a"}, Publisher(f"service:{ANN}", ("a", "b*"))),
    ],
)
def test_who_may_publish(roles: set[str], scopes: set[str] | None, who: Publisher) -> None:
    assert publisher(ANN, frozenset(roles), None if scopes is None else frozenset(scopes)) == who


@pytest.mark.parametrize(
    ("roles", "scopes"),
    [
        ({"user"}, None),
        ({"service"}, None),
        ({"service"}, {"messages:write"}),
        ({"user"}, {"realtime:publish"}),  # a key that somebody has made for themselves
        ({"user"}, {"realtime:publish:news"}),
        ({"admin"}, {"messages:write"}),
    ],
)
def test_who_may_not(roles: set[str], scopes: set[str] | None) -> None:
    with pytest.raises(Forbidden):
        publisher(ANN, frozenset(roles), None if scopes is None else frozenset(scopes))


def test_scopes_of_programs() -> None:
    assert all(
        map(is_scope, ("messages:read", "realtime:publish", "realtime:publish:orders/*", "realtime:grant:orders.*"))
    )
    assert not any(
        map(
            is_scope,
            (
                "realtime:publish:",
                "realtime:publish:a b",
                "realtime:write",
                "realtime:publish:a\n",
                "realtime:grant:",
                "realtime:keys:a",
            ),
        )
    )


def test_the_same_key_of_a_publisher_is_the_same_update() -> None:
    keyed = replace(NEWS, idempotency_key="7")
    of_another = published(keyed, Publisher("service:2", ("*",)), NOW)

    assert published(keyed, ANYWHERE, NOW).update_id == published(replace(keyed, payload="2"), ANYWHERE, NOW).update_id
    assert published(keyed, ANYWHERE, NOW).update_id != of_another.update_id
    assert published(NEWS, ANYWHERE, NOW).update_id != published(NEWS, ANYWHERE, NOW).update_id


def test_it_expires_when_its_time_is_over() -> None:
    assert published(NEWS, ANYWHERE, NOW).expires_at is None
    assert published(replace(NEWS, ttl=timedelta(seconds=9)), ANYWHERE, NOW).expires_at == NOW + timedelta(seconds=9)


@pytest.mark.parametrize(
    ("update", "by", "code"),
    [
        (NEWS, Publisher("key:1", ("orders",)), "channel_not_allowed"),
        (replace(NEWS, is_public=True), Publisher("key:1", ("*",), may_public=False), "channel_not_allowed"),
        (replace(NEWS, is_public=True, channel=f"user:{ANN}"), ANYWHERE, "validation_failed"),
        (replace(NEWS, payload='"' + "é" * (PAYLOAD_LIMIT // 2) + '"'), ANYWHERE, "payload_length"),
    ],
)
def test_what_is_refused(update: Update, by: Publisher, code: str) -> None:
    with pytest.raises(Refused) as refused:
        published(update, by, NOW)

    assert refused.value.code == code


@pytest.mark.parametrize("payload", [None, True, 1.5, "é😀", [1, {"a": None}], {}, 10**30])
def test_a_payload_is_any_json(payload: object) -> None:
    assert json_of(payload).encode()


@pytest.mark.parametrize("payload", [float("nan"), [float("inf")], "\ud83d"])
def test_what_json_has_no_word_for_is_refused(payload: object) -> None:
    with pytest.raises(Refused):
        json_of(payload)


class Log:
    """Acknowledges nothing until everything was handed over."""

    def __init__(self, of: int) -> None:
        self.events: list[Event] = []
        self._all = asyncio.Event()
        self._of = of

    async def publish(self, event: Event) -> Position:
        self.events.append(event)
        if len(self.events) == self._of:
            self._all.set()
        await asyncio.wait_for(self._all.wait(), 10)
        return Position("ui-updates", 0, self.events.index(event))


async def test_a_batch_is_handed_over_together_and_in_its_order() -> None:
    log = Log(of=100)
    made = await publish([replace(NEWS, payload=str(n)) for n in range(100)], ANYWHERE, PublishPorts(log, lambda: NOW))

    assert [event.payload for event, _ in made] == [str(n) for n in range(100)]
    assert [position.offset for _, position in made] == list(range(100))


async def test_nothing_is_published_of_a_batch_of_which_something_is_refused() -> None:
    log = Log(of=1)

    with pytest.raises(Forbidden):
        await publish(
            [NEWS, replace(NEWS, channel="orders")], Publisher("key:1", ("news",)), PublishPorts(log, lambda: NOW)
        )
    assert log.events == []


async def test_what_the_broker_does_not_take_is_told() -> None:
    class Away:
        async def publish(self, _: Event) -> Position:
            raise Unavailable("broker_unavailable")

    with pytest.raises(Unavailable):
        await publish([NEWS, NEWS], ANYWHERE, PublishPorts(Away(), lambda: NOW))
