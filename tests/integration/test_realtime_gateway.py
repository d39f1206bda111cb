"""The Socket.IO gateway on real Kafka: who hears what, what a client may ask, and who is not let in."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import httpx
import pytest
import websockets
from pydantic import BaseModel, ConfigDict

from bounded_contexts.realtime.application.limits import Limits
from headwater.configured import shared_key_tokens
from headwater.wiring import House
from infra.access_tokens import LEEWAY, User
from infra.kafka_log import KafkaLog
from infra.opaque import OpaqueTokens
from schemas.messaging.events import (
    ConversationArchived,
    ConversationDescribed,
    ConversationRenamed,
    MemberJoined,
    MemberLeft,
    MessageEdited,
)
from shared_kernel.causation import current_cause
from shared_kernel.errors import Forbidden
from tests.integration.gateway_process import gateway_process
from tests.integration.nodes import CHAT, Device, Node, device, erasure, message, node, token
from tests.probes import eventually


class Send(BaseModel):
    model_config = ConfigDict(extra="forbid")

    client_id: str
    body: str
    participants: list[UUID]


class Commands:
    """What the gateway of these tests offers; `gate` holds an ack back."""

    def __init__(self, log: KafkaLog) -> None:
        self._log = log
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[Any] = []

    def offered(self) -> dict[str, Any]:
        return {"message.send": self.send, "note": self.note, "forbidden": self.forbid, "broken": self.fail}

    async def send(self, user: User, payload: Any) -> Mapping[str, Any]:
        new = Send.model_validate(payload)
        sent = message(user.id, new.participants, new.body, new.client_id)
        await self._log.publish(sent)
        await self.gate.wait()
        return {"message_id": sent.message_id, "conversation_id": str(sent.conversation_id)}

    async def note(self, user: User, payload: Any) -> Mapping[str, Any]:
        cause = current_cause()
        assert cause is not None
        assert cause.actor == user.id
        self.asked.append(payload)
        return {"noted": payload}

    async def forbid(self, user: User, payload: Any) -> Mapping[str, Any]:
        raise Forbidden("not_a_member", "only members send")

    async def fail(self, user: User, payload: Any) -> Mapping[str, Any]:
        raise RuntimeError("secret inner detail")


@pytest.fixture
async def log(house: House) -> KafkaLog:
    return KafkaLog(house.commands, house.codec)


@pytest.fixture
async def commands(log: KafkaLog) -> Commands:
    return Commands(log)


@pytest.fixture
async def gateway(house: House, commands: Commands) -> AsyncIterator[Node]:
    limits = Limits(connections_per_user=3, commands_burst=20, commands_per_s=10, drain_s=0.1)
    async with node(house, commands.offered(), limits) as running:
        yield running


async def test_a_message_reaches_every_device_of_its_people_and_nobody_else(
    house: House, log: KafkaLog, gateway: Node
) -> None:
    ann, bob, eve = uuid4(), uuid4(), uuid4()
    sent = message(ann, [bob], "Grüße 👋 \u2028")
    async with (
        device(gateway, bob, house) as phone,
        device(gateway, bob, house, transports=["polling"]) as laptop,
        device(gateway, ann, house) as sender,
        device(gateway, eve, house) as stranger,
    ):
        await log.publish(sent)
        for each in (phone, laptop, sender):
            await each.hears(sent.body)
        await log.publish(message(ann, [eve], "for eve"))

        await sender.hears(sent.body, "for eve")
        await stranger.hears("for eve")

        (event,) = phone.events
        assert event == laptop.events[0] | {"position": event["position"]}
        assert event["id"]
        assert event["source"] == "/headwater/messaging"
        assert event["subject"] == str(sent.conversation_id)
        assert datetime.fromisoformat(event["time"]).tzinfo == UTC
        assert event["traceparent"] is None
        assert event["data"]["id"] == str(sent.message_id)
        assert event["data"]["participants"] == sorted([str(ann), str(bob)])


async def test_an_erasure_is_heard_by_the_members_and_by_nobody_else(
    house: House, log: KafkaLog, gateway: Node
) -> None:
    ann, bob, admin = uuid4(), uuid4(), uuid4()
    sent = message(ann, [bob], "secret")
    async with device(gateway, bob, house) as member, device(gateway, admin, house) as outsider:
        await log.publish(sent)
        await log.publish(erasure(sent, admin))
        edit = MessageEdited(
            edit_id=uuid4(),
            message_id=sent.message_id,
            conversation_id=sent.conversation_id,
            editor_id=ann,
            recipient_ids=(bob,),
            body="too late",
            edited_at=datetime.now(UTC),
        )
        await log.publish(edit)
        await log.publish(replace(message(ann, [bob], "after"), recipient_ids=(bob, admin)))
        await outsider.hears("after")
        await member.hears("secret", "after")

        assert [event["type"] for event in outsider.events] == ["message.created"]
        _, erased, updated, _ = member.events
        assert (erased["type"], erased["data"]["id"]) == ("message.erased", str(sent.message_id))
        assert erased["data"]["erased_by"] == str(admin)
        assert "a court" not in str(erased)
        assert (updated["type"], updated["data"]["body"]) == ("message.updated", "")


async def test_the_session_says_who_and_where_it_is(house: House, gateway: Node) -> None:
    ann = uuid4()
    async with device(gateway, ann, house) as phone:
        session = phone.session

    assert session["user_id"] == str(ann)
    assert (session["resumed"], session["was_resuming"]) == (False, False)
    assert session["heartbeat"] == {"interval_ms": 25_000, "timeout_ms": 20_000}
    assert session["position"]
    assert session["sid"]


async def test_a_group_that_this_node_never_heard_of_tells_its_members_and_nobody_else(
    house: House, log: KafkaLog, gateway: Node
) -> None:
    ann, bob, cem, eve, group, now = uuid4(), uuid4(), uuid4(), uuid4(), uuid4(), datetime.now(UTC)
    both, three = tuple(sorted((ann, bob))), tuple(sorted((ann, bob, cem)))
    async with (
        device(gateway, bob, house) as member,
        device(gateway, cem, house) as passing,
        device(gateway, eve, house) as stranger,
    ):
        for event in (
            MemberJoined(conversation_id=group, member_id=cem, added_by=ann, joined_at=now, member_ids=three),
            ConversationRenamed(conversation_id=group, title="a", renamed_by=ann, renamed_at=now, member_ids=three),
            MemberLeft(conversation_id=group, member_id=cem, removed_by=ann, left_at=now, member_ids=both),
            ConversationDescribed(
                conversation_id=group, metadata={}, described_by=ann, described_at=now, member_ids=both
            ),
            ConversationArchived(conversation_id=group, archived_by=ann, archived_at=now, member_ids=both),
        ):
            await log.publish(event)
        changes = ["member.joined", "conversation.updated", "member.left"]
        more = ["conversation.updated", "conversation.archived"]

        async def heard() -> list[str]:
            return [event["type"] for event in member.events]

        assert await eventually(heard, until=lambda names: len(names) == 5) == changes + more
        await log.publish(message(ann, [bob, cem, eve], "last"))
        for each in (passing, stranger):
            await each.hears("last")
        assert [event["type"] for event in passing.events] == [*changes, "message.created"]
        assert [event["type"] for event in stranger.events] == ["message.created"]


async def test_the_sending_socket_hears_no_echo_whichever_comes_first_ack_or_event(
    house: House, commands: Commands, gateway: Node
) -> None:
    ann, bob = uuid4(), uuid4()
    people = [str(ann), str(bob)]
    async with (
        device(gateway, ann, house) as sending,
        device(gateway, ann, house) as other,
        device(gateway, ann, house, echo=True) as echoing,
    ):
        commands.gate.clear()
        asking = asyncio.create_task(
            sending.ask("message.send", {"client_id": "1", "body": "one", "participants": people})
        )
        await other.hears("one")
        commands.gate.set()
        first = await asking
        second = await sending.ask("message.send", {"client_id": "2", "body": "two", "participants": people})
        await echoing.ask("message.send", {"client_id": "3", "body": "three", "participants": people})

        await other.hears("one", "two", "three")
        await echoing.hears("one", "two", "three")
        await sending.hears("three")
        ids = [event["data"]["id"] for event in other.events]
        assert [first["data"]["message_id"], second["data"]["message_id"]] == ids[:2]


async def test_a_record_that_comes_again_is_delivered_once(house: House, log: KafkaLog, gateway: Node) -> None:
    ann, bob = uuid4(), uuid4()
    sent = message(ann, [bob], "once")
    async with device(gateway, bob, house) as phone:
        await asyncio.gather(*(log.publish(sent) for _ in range(5)))
        await log.publish(message(ann, [bob], "then"))

        await phone.hears("once", "then")


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        (None, "unauthenticated"),
        ({}, "unauthenticated"),
        ({"token": "nonsense"}, "unauthenticated"),
        ({"token": 7}, "validation_failed"),
        ([1, 2], "validation_failed"),
        ("expired", "token_expired"),
        ("position", "invalid_stream_position"),
        ("foreign position", "invalid_stream_position"),
    ],
)
async def test_who_is_not_let_in_learns_why(house: House, gateway: Node, auth: Any, code: str) -> None:
    tokens = shared_key_tokens(house.settings)
    if auth == "expired":
        auth = {"token": tokens.issue(uuid4(), lifetime=timedelta(minutes=-5))}
    elif auth == "position":
        auth = {"token": token(house, uuid4()), "position": "made up"}
    elif auth == "foreign position":
        auth = {"token": token(house, uuid4()), "position": OpaqueTokens("x" * 32).seal("stream_position", {})}
    refused = await Device(gateway.url, auth).connect()

    assert refused.refusal["data"]["code"] == code
    assert refused.refusal["message"]
    await refused.client.disconnect()


async def test_a_token_in_the_url_counts_for_nothing(house: House, gateway: Node) -> None:
    refused = await Device(f"{gateway.url}?token={token(house, uuid4())}", None).connect()

    assert refused.refusal["data"]["code"] == "unauthenticated"
    await refused.client.disconnect()


async def test_a_session_ends_with_its_token(house: House, gateway: Node) -> None:
    tokens = shared_key_tokens(house.settings)
    short = tokens.issue(uuid4(), lifetime=timedelta(seconds=4) - LEEWAY)
    ending = await Device(gateway.url, {"token": short}).connect()

    assert await ending.is_told("session.revoked") == {"reason": "token_expired"}
    await ending.is_gone()


async def test_one_user_opens_only_so_many_sockets(house: House, gateway: Node) -> None:
    ann = uuid4()
    async with device(gateway, ann, house), device(gateway, ann, house), device(gateway, ann, house):
        refused = await Device(gateway.url, {"token": token(house, ann)}).connect()
        assert refused.refusal["data"]["code"] == "too_many_connections"
        await refused.client.disconnect()
    async with device(gateway, ann, house):
        pass


async def test_a_foreign_origin_is_not_let_in(gateway: Node) -> None:
    async with httpx.AsyncClient(base_url=gateway.url) as browser:
        query = {"EIO": "4", "transport": "polling"}
        own = await browser.get("/socket.io/", params=query, headers={"origin": gateway.url})
        foreign = await browser.get("/socket.io/", params=query, headers={"origin": "https://evil.example"})

    assert (own.status_code, foreign.status_code) == (200, 400)
    with pytest.raises(websockets.exceptions.InvalidStatus):
        await websockets.connect(_socket_url(gateway), origin=websockets.Origin("https://evil.example"))


async def test_an_unknown_namespace_is_refused_as_the_reference_server_does(gateway: Node) -> None:
    async with websockets.connect(_socket_url(gateway)) as raw:
        await raw.recv()
        await raw.send("40/elsewhere,")

        assert await raw.recv() == '44/elsewhere,{"message":"Invalid namespace"}'


@pytest.mark.parametrize(
    "packet",
    ["x", "9", "4", "47", "4[", "42", '42/chat,["a"', '42/chat,"a"', "42/chat,[]", '42/chat,[{"a":1}]', "452-[]", "4" * 70_000,
     '40/chat,{"a":' + "[" * 60_000, "3" + "[" * 60_000, b"\x04binary"],
)  # fmt: skip
async def test_a_packet_that_is_none_ends_the_connection(house: House, gateway: Node, packet: str | bytes) -> None:
    async with device(gateway, uuid4(), house) as other:
        async with websockets.connect(_socket_url(gateway), max_size=None) as raw:
            await raw.recv()
            await raw.send("40/chat," + json.dumps({"token": token(house, uuid4())}))
            await raw.recv()
            await raw.send(packet)

            async with asyncio.timeout(60):
                await raw.wait_closed()
        assert (await other.ask("note", {}))["ok"]


async def test_a_command_is_answered_in_the_order_of_asking(house: House, commands: Commands, gateway: Node) -> None:
    async with device(gateway, uuid4(), house) as phone:
        answers = await asyncio.gather(*(phone.ask("note", {"number": number}) for number in range(10)))

    assert answers == [{"ok": True, "data": {"noted": {"number": number}}} for number in range(10)]
    assert commands.asked == [{"number": number} for number in range(10)]


async def test_what_goes_wrong_is_told_as_a_problem(house: House, gateway: Node) -> None:
    async with device(gateway, uuid4(), house) as phone:
        invalid = await phone.ask("message.send", {"client_id": "1", "participants": ["nobody"], "more": 1})
        missing = await phone.ask("message.send")
        refused = await phone.ask("forbidden", {})
        broken = await phone.ask("broken", {})
        unknown = await phone.ask("connect", {})

    assert [answer["ok"] for answer in (invalid, missing, refused, broken, unknown)] == [False] * 5
    assert invalid["error"]["code"] == missing["error"]["code"] == "validation_failed"
    assert missing["error"]["detail"] == "send one JSON object"
    assert {each["pointer"] for each in invalid["error"]["errors"]} == {"/body", "/participants/0", "/more"}
    assert (refused["error"]["code"], refused["error"]["status"]) == ("not_a_member", 403)
    assert broken["error"]["code"] == "internal"
    assert "secret" not in str(broken)
    assert unknown["error"]["code"] == "unknown_event"


async def test_a_flood_is_refused_and_then_ended(house: House, gateway: Node) -> None:
    async with device(gateway, uuid4(), house) as phone, device(gateway, uuid4(), house) as other:
        answers: list[Any] = []

        async def take(answer: Any) -> None:
            answers.append(answer)

        for number in range(500):
            if phone.client.connected:
                await phone.client.emit("note", {"number": number}, namespace=CHAT, callback=take)

        assert await phone.is_told("session.revoked") == {"reason": "rate_limited"}
        await phone.is_gone()
        assert {answer["error"]["code"] for answer in answers if not answer["ok"]} == {"rate_limited"}
        assert (await other.ask("note", {}))["ok"]


async def test_a_node_that_stops_sends_its_clients_away_and_lets_nobody_in(house: House, log: KafkaLog) -> None:
    ann, bob = uuid4(), uuid4()
    async with node(house) as stopping:
        phone = await Device(stopping.url, {"token": token(house, bob)}).connect()
        laptop = await Device(stopping.url, {"token": token(house, bob)}, ["polling"]).connect()
        await log.publish(message(ann, [bob], "before"))
        await phone.hears("before")
        await stopping.gateway.close()

        for each in (phone, laptop):
            assert 0 <= (await each.is_told("server.draining"))["reconnect_after_ms"] <= 5000
            await each.is_gone()
        async with httpx.AsyncClient(base_url=stopping.url) as client:
            answer = await client.get("/socket.io/", params={"EIO": "4", "transport": "polling"})
        assert answer.status_code == 503
    async with node(house) as other, device(other, bob, house, position=phone.position) as again:
        await log.publish(message(ann, [bob], "after"))
        await again.hears("after")


def _socket_url(gateway: Node) -> str:
    return gateway.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"


async def test_a_process_that_says_it_is_ready_lets_clients_in(house: House) -> None:
    async with gateway_process(house.settings) as process, aiohttp.ClientSession() as client:
        address = f"{process.url}/socket.io/?EIO=4&transport=websocket"
        async with client.ws_connect(address) as socket:
            assert (await socket.receive_str()).startswith('0{"sid":')
