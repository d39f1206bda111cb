"""Webhooks about channels and users, from nodes to a real receiver."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from bounded_contexts.realtime.adapters import webhook_deliveries
from bounded_contexts.realtime.adapters.tables import occupied, webhook_delivery
from bounded_contexts.realtime.adapters.webhook_deliveries import WebhookDeliveries
from bounded_contexts.realtime.adapters.webhooks_postgres import PostgresWebhooks
from bounded_contexts.realtime.application import webhooks
from bounded_contexts.realtime.application.limits import Limits
from bounded_contexts.realtime.application.webhooks import Endpoint
from headwater.wiring import House
from infra.chores import run_chore
from infra.outgoing import Outgoing
from tests.conftest import SECRET
from tests.integration.channels import OPEN, UI, Screen, screen
from tests.integration.gateway_process import gateway_process
from tests.integration.gateways import Seen, answer, body_of, upstream
from tests.integration.nodes import Node, node, token
from tests.probes import eventually

ALL = ["channel.occupied", "channel.vacated", "user.connected", "user.disconnected"]
LIMITS = Limits(drain_s=0.1, open_channels=OPEN)

Make = Callable[..., Awaitable[dict[str, Any]]]


class Receiver:
    """Takes requests, or says that it cannot."""

    def __init__(self) -> None:
        self.status = b"204 No Content"
        self.told: list[tuple[str, dict[str, Any]]] = []  # ids and what was taken
        self.asked: list[tuple[Seen, bytes]] = []
        self.url = ""

    async def handle(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await body_of(seen, reader)
        self.asked.append((seen, body))
        if self.status.startswith(b"2"):
            self.told.append((seen["webhook-id"], json.loads(body)))
        writer.write(answer(b"", status=self.status))

    def of(self, subject: str) -> list[str]:
        """Return the kinds that were told of a channel or a user, in order."""
        return [told["type"] for _, told in self.told if subject in told["data"].values()]

    async def hears(self, subject: str, *kinds: str) -> None:
        """Wait until these were told, and none else."""

        async def heard() -> list[str]:
            return self.of(subject)

        await eventually(heard, until=lambda found: len(found) >= len(kinds))
        assert self.of(subject) == list(kinds)

    async def hears_in_the_end(self, subject: str, kind: str) -> None:
        """Wait until this was told last. On a machine that stands still for longer than a lease, what is there goes and comes
        again; never does it come twice, or go twice."""

        async def last() -> list[str]:
            return self.of(subject)[-1:]

        await eventually(last, until=lambda found: found == [kind])
        told = self.of(subject)
        assert all(before != after for before, after in pairwise(told)), told


@pytest.fixture(scope="module", autouse=True)
async def none_of_others(house: House) -> None:
    """Remove the endpoints that tests of other files have left in the database they share."""
    endpoints = PostgresWebhooks(house.databases["realtime"], SECRET)
    for each in await endpoints.listed():
        await endpoints.remove(each.endpoint.webhook_id)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    told = Receiver()
    async with upstream(told.handle) as running:
        told.url = running.url
        yield told


@pytest.fixture
async def chores(house: House, web_house: House) -> AsyncIterator[None]:
    """What two processes of the role do by the clock."""
    doing = [
        each
        for of in (house, web_house)
        for module in of.modules
        if module.name == "realtime"
        for each in module.chores
    ]
    tasks = [asyncio.create_task(run_chore(each)) for each in doing]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def make(admin: httpx.AsyncClient, chores: None) -> AsyncIterator[Make]:
    """Return what makes endpoints for one test, and remove them."""
    made = []

    async def new(url: str, *channels: str, kinds: list[str] = ALL) -> dict[str, Any]:
        answer = await admin.post(
            "/realtime/webhooks", json={"url": url, "kinds": kinds, "channels": channels or ["*"]}
        )
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "no-store"
        made.append(answer.json()["id"])
        return dict(answer.json())

    yield new
    for each in made:
        await admin.delete(f"/realtime/webhooks/{each}")


@pytest.fixture
async def nodes(house: House) -> AsyncIterator[tuple[Node, Node]]:
    async with node(house, limits=LIMITS) as one, node(house, limits=LIMITS) as other:
        yield one, other


def news() -> str:
    """Return an open channel that no other test uses."""
    return f"news.{uuid4().hex}"


async def listed(admin: httpx.AsyncClient, made: dict[str, Any]) -> dict[str, Any]:
    answer = await admin.get("/realtime/webhooks")
    assert answer.status_code == 200, answer.text
    return next(each for each in answer.json()["data"] if each["id"] == made["id"])


def verify(secret: str, seen: Seen, body: bytes) -> None:
    """Verify as Standard Webhooks says, by another implementation than the one under test. Raise `InvalidSignature`."""
    mac = HMAC(base64.b64decode(secret.removeprefix("whsec_")), SHA256())
    mac.update(f"{seen['webhook-id']}.{seen['webhook-timestamp']}.".encode() + body)
    version, _, given = seen["webhook-signature"].partition(",")
    assert version == "v1"
    mac.verify(base64.b64decode(given))


async def test_two_subscribers_on_two_nodes_occupy_a_channel_once_and_the_last_vacates_it(
    house: House, nodes: tuple[Node, Node], make: Make, receiver: Receiver
) -> None:
    made, channel, near, far = await make(receiver.url, "news.*"), news(), uuid4(), uuid4()
    async with screen(nodes[0], house, near) as one:
        await one.subscribe(channel)
        async with screen(nodes[1], house, far) as other:
            await other.subscribe(channel)
            await receiver.hears(channel, "channel.occupied")
            await receiver.hears(str(far), "user.connected")
        await receiver.hears(str(far), "user.connected", "user.disconnected")  # and so long the channel is not vacated
        assert receiver.of(channel) == ["channel.occupied"]
    await receiver.hears(channel, "channel.occupied", "channel.vacated")
    await receiver.hears(str(near), "user.connected", "user.disconnected")

    told = [told for _, told in receiver.told if channel in told["data"].values()]
    assert told[0]["data"] == {"channel": channel, "public": False}
    assert len({id_ for id_, _ in receiver.told}) == len(receiver.asked)
    for seen, body in receiver.asked:
        verify(made["secret"], seen, body)
    with pytest.raises(InvalidSignature):
        verify(f"whsec_{base64.b64encode(bytes(32)).decode()}", *receiver.asked[0])


async def test_loading_a_page_anew_tells_nothing(
    house: House, nodes: tuple[Node, Node], make: Make, receiver: Receiver
) -> None:
    await make(receiver.url)
    channel, later, user = news(), news(), uuid4()
    async with screen(nodes[0], house, user) as before:
        await before.subscribe(channel)
        await receiver.hears(channel, "channel.occupied")
    async with screen(nodes[1], house, user) as after:
        await after.subscribe(channel)
        await after.subscribe(later)
        await receiver.hears(later, "channel.occupied")  # which took longer than it would have to miss the other

        assert receiver.of(channel) == ["channel.occupied"]
        assert receiver.of(str(user)) == ["user.connected"]


async def test_channels_of_a_killed_node_are_vacated_when_its_lease_ends(
    house: House, make: Make, receiver: Receiver
) -> None:
    await make(receiver.url)
    channel, user = news(), uuid4()
    open_channels = ",".join(OPEN)
    async with gateway_process(house.settings, HEADWATER_REALTIME_OPEN_CHANNELS=open_channels) as process:
        lost = await Screen(process.url, {"token": token(house, user)}, (UI,)).connect()
        assert not lost.refusals, lost.refusals
        await lost.subscribe(channel)
        await receiver.hears_in_the_end(channel, "channel.occupied")
        await receiver.hears_in_the_end(str(user), "user.connected")
        await process.kill()
        with contextlib.suppress(Exception):  # of a socket whose server is gone
            await lost.client.disconnect()
        await receiver.hears_in_the_end(channel, "channel.vacated")
        await receiver.hears_in_the_end(str(user), "user.disconnected")


async def test_a_receiver_that_was_away_is_told_in_order_with_the_same_ids_and_holds_up_no_other(
    house: House,
    nodes: tuple[Node, Node],
    make: Make,
    receiver: Receiver,
    admin: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhooks, "FIRST_WAIT_S", 0.5)
    away, channel = Receiver(), news()
    away.status = b"503 Service Unavailable"
    async with upstream(away.handle) as running:
        made = await make(running.url, channel, kinds=ALL[:2])
        await make(receiver.url, channel, kinds=ALL[:2])
        async with screen(nodes[0], house) as shown:
            await shown.subscribe(channel)
            await receiver.hears(channel, "channel.occupied")
        await receiver.hears(channel, "channel.occupied", "channel.vacated")
        waiting = await listed(admin, made)
        asked = {seen["webhook-id"] for seen, _ in away.asked}
        away.status = b"200 OK"
        await away.hears(channel, "channel.occupied", "channel.vacated")
        fine = await eventually(lambda: listed(admin, made), until=lambda found: found["waiting"] == 0)

    assert (waiting["waiting"], waiting["given_up"], waiting["last_error"]) == (2, 0, "HTTP 503")
    assert len(asked) == 1  # the second of a channel waits for the first
    assert len(away.asked) > 2
    assert away.told[0][0] in asked
    assert len({id_ for id_, _ in away.told}) == len(away.told) == 2
    assert fine["delivered_at"]


async def test_what_was_not_taken_for_a_day_is_given_up_and_shown_so(
    house: House,
    nodes: tuple[Node, Node],
    make: Make,
    receiver: Receiver,
    admin: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_deliveries, "GIVEN_UP", timedelta())
    receiver.status = b"410 Gone"
    channel = news()
    made = await make(receiver.url, channel, kinds=["channel.occupied"])
    async with screen(nodes[0], house) as shown:
        await shown.subscribe(channel)
        found = await eventually(lambda: listed(admin, made), until=lambda found: found["given_up"] == 1)

    assert (found["waiting"], found["last_error"]) == (0, "HTTP 410")
    assert len(receiver.asked) == 1


async def test_what_was_there_before_the_first_endpoint_is_not_told(
    house: House, nodes: tuple[Node, Node], make: Make, receiver: Receiver
) -> None:
    before, after = news(), news()
    async with screen(nodes[0], house) as shown:
        await shown.subscribe(before)
        await is_noted(house, before)
        await make(receiver.url)
        await shown.subscribe(after)
        await receiver.hears(after, "channel.occupied")

        assert receiver.of(before) == []
    await receiver.hears(before, "channel.vacated")


async def is_noted(house: House, channel: str) -> None:
    """Wait until the node has told that the channel is occupied."""

    async def noted() -> int:
        async with house.databases["realtime"].transaction() as connection:
            found = sa.select(sa.func.count()).where(occupied.c.subject == f"channel:{channel}")
            return int((await connection.execute(found)).scalar_one())

    await eventually(noted)


async def test_endpoints_are_removed_and_refused(admin: httpx.AsyncClient, make: Make, receiver: Receiver) -> None:
    made = await make(receiver.url)
    gone = [await admin.delete(f"/realtime/webhooks/{made['id']}") for _ in range(2)]
    refused = await admin.post("/realtime/webhooks", json={"url": "ftp://example.org", "kinds": ALL})
    kept = (await admin.get("/realtime/webhooks")).json()["data"]

    assert [each.status_code for each in gone] == [204, 404]
    assert gone[1].json()["code"] == "webhook_not_found"
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_webhook_url")
    assert made["id"] not in [each["id"] for each in kept]
    assert all("secret" not in each for each in kept)


async def test_in_production_our_own_machine_is_neither_taken_nor_asked(house: House, receiver: Receiver) -> None:
    endpoints = PostgresWebhooks(house.databases["realtime"], SECRET)
    made = Endpoint(uuid4(), receiver.url, ("user.connected",), ("*",), datetime.now(UTC))
    await endpoints.add(made, bytes(32), uuid4())  # as if it had been made in development
    try:
        async with house.databases["realtime"].transaction() as connection:
            row = {"delivery_id": uuid4(), "webhook_id": made.webhook_id, "subject": "user:x", "body": "{}"}
            times = {"made_at": made.made_at, "due_at": made.made_at}
            await connection.execute(sa.insert(webhook_delivery).values(row | times))
        await WebhookDeliveries(endpoints, Outgoing(private=False)).begin()

        async def failed() -> list[str]:
            return [each.last_error for each in await endpoints.listed() if each.last_error]

        assert await eventually(failed) == ["an https URL is needed"]
        assert receiver.asked == []
    finally:
        await endpoints.remove(made.webhook_id)
