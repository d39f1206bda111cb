"""GraphQL subscriptions over `graphql-transport-ws`, in the process that has the feed."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import websockets
from websockets.typing import Subprotocol

from bounded_contexts.gateway.adapters.graphql import Subscription
from bounded_contexts.realtime.adapters import frames, graph_sockets
from headwater.configured import shared_key_tokens
from headwater.settings import Settings
from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import LEEWAY, SharedKeyTokens
from infra.health import Health
from infra.kafka_log import KafkaLog
from schemas.identity.events import UserBlocked
from schemas.messaging.events import MessageDeleted, MessageEdited
from tests.conftest import SECRET
from tests.integration.conftest import client_of
from tests.integration.nodes import Device, erasure, message, role_process, token
from tests.npm import installed
from tests.probes import eventually

PROTOCOL = Subprotocol("graphql-transport-ws")
ANSWERED_S = 60
MOST = 3
EVENTS = (
    "subscription ($of: UUID) { messageEvents(conversationId: $of) { kind messageId body actorId clientId position } }"
)


@pytest.fixture(scope="module")
async def node(house: House, settings: Settings) -> AsyncIterator[str]:
    async with role_process(settings, realtime_connections_per_user=MOST, realtime_queue_limit=200) as url:
        yield url


class Socket:
    """A client of the protocol."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self.connection = connection

    async def say(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def take(self) -> dict[str, Any]:
        """Return the next frame."""
        return dict(json.loads(await asyncio.wait_for(self.connection.recv(decode=True), ANSWERED_S)))

    async def subscribe(self, query: str = EVENTS, id_: str = "1", **variables: Any) -> None:
        await self.say(type="subscribe", id=id_, payload={"query": query, "variables": variables})

    async def settled(self) -> None:
        """Return when everything said so far has been taken."""
        await self.say(type="ping")
        assert await self.take() == {"type": "pong"}

    async def event(self, id_: str = "1") -> dict[str, Any]:
        """Return the next event of the subscription, which is the next frame."""
        frame = await self.take()
        assert (frame["type"], frame["id"]) == ("next", id_), frame
        return dict(frame["payload"]["data"]["messageEvents"])

    async def ended(self) -> tuple[int | None, str | None]:
        """Wait for the end and return its code and reason."""
        with contextlib.suppress(websockets.ConnectionClosed):
            async with asyncio.timeout(ANSWERED_S):
                while True:
                    await self.connection.recv()
        return self.connection.close_code, self.connection.close_reason


@asynccontextmanager
async def opened(url: str, **more: Any) -> AsyncIterator[Socket]:
    async with websockets.connect(
        f"{url.replace('http', 'ws')}/graphql",
        **{"subprotocols": [PROTOCOL], "compression": None, "ping_interval": None, "close_timeout": 0.1} | more,
    ) as connection:
        yield Socket(connection)


@asynccontextmanager
async def signed_in(url: str, access_token: str, position: str | None = None, **more: Any) -> AsyncIterator[Socket]:
    async with opened(url, **more) as socket:
        await socket.say(type="connection_init", payload={"token": access_token, "position": position})
        assert await socket.take() == {"type": "connection_ack"}
        yield socket


@asynccontextmanager
async def listening(url: str, house: House, user: UUID, **more: Any) -> AsyncIterator[Socket]:
    async with signed_in(url, token(house, user), **more) as socket:
        await socket.subscribe()
        await socket.settled()
        yield socket


async def publish(house: House, *events: Any) -> None:
    for event in events:
        await KafkaLog(house.commands, house.codec).publish(event)


async def test_members_hear_what_happens_to_messages_and_strangers_do_not(house: House, node: str) -> None:
    ann, bob, eve = uuid4(), uuid4(), uuid4()
    sent = message(ann, [bob], "Grüße", "c-1")
    edited = MessageEdited(
        edit_id=uuid4(),
        message_id=sent.message_id,
        conversation_id=sent.conversation_id,
        editor_id=ann,
        recipient_ids=(bob,),
        body="changed",
        edited_at=sent.sent_at,
    )
    deleted = MessageDeleted(
        message_id=sent.message_id,
        conversation_id=sent.conversation_id,
        deleted_by=ann,
        recipient_ids=(bob,),
        deleted_at=sent.sent_at,
    )
    admin = uuid4()
    async with (
        listening(node, house, ann) as hers,
        listening(node, house, bob) as his,
        listening(node, house, eve) as strange,
    ):
        await publish(house, sent, edited, deleted)
        heard = [[await socket.event() for _ in range(3)] for socket in (hers, his)]
        await publish(house, erasure(sent, admin))  # not before: it takes the text out of what has not been sent yet
        for events, socket in zip(heard, (hers, his), strict=True):
            events.append(await socket.event())
        await strange.settled()

    for events in heard:
        assert [(each["kind"], each["body"], each["actorId"], each["clientId"]) for each in events] == [
            ("CREATED", "Grüße", str(ann), "c-1"),
            ("UPDATED", "changed", str(ann), None),
            ("DELETED", None, str(ann), None),
            ("ERASED", None, str(admin), None),
        ]
        assert {each["messageId"] for each in events} == {str(sent.message_id)}


async def test_several_subscriptions_share_a_socket_and_one_that_is_complete_hears_nothing(
    house: House, node: str
) -> None:
    ann, bob, eve = uuid4(), uuid4(), uuid4()
    to_bob, to_eve = message(ann, [bob], "to bob"), message(ann, [eve], "to eve")
    async with signed_in(node, token(house, ann)) as socket:
        await socket.subscribe(id_="bob", of=str(to_bob.conversation_id))
        await socket.subscribe(id_="eve", of=str(to_eve.conversation_id))
        await socket.settled()
        await publish(house, to_bob)
        assert (await socket.event("bob"))["body"] == "to bob"
        await socket.say(type="complete", id="bob")
        await socket.settled()
        await publish(house, message(ann, [bob], "again"), to_eve)

        assert (await socket.event("eve"))["body"] == "to eve"


async def test_who_comes_back_with_a_position_hears_what_was_missed(
    house: House, settings: Settings, node: str
) -> None:
    ann, bob = uuid4(), uuid4()
    async with listening(node, house, bob) as socket:
        await publish(house, message(ann, [bob], "1"))
        position = (await socket.event())["position"]
    await publish(house, message(ann, [bob], "2"), message(ann, [bob], "3"))
    async with role_process(settings) as other, listening_from(other, house, bob, position) as back:
        await publish(house, message(ann, [bob], "4"))
        bodies = [(await back.event())["body"] for _ in range(3)]

    assert bodies == ["2", "3", "4"]


@asynccontextmanager
async def listening_from(url: str, house: House, user: UUID, position: str) -> AsyncIterator[Socket]:
    async with signed_in(url, token(house, user), position) as socket:
        await socket.subscribe()
        yield socket


async def test_what_is_too_much_to_be_sent_again_ends_the_subscription(
    house: House, node: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = uuid4()
    async with listening(node, house, ann) as socket:
        await publish(house, message(ann, [uuid4()], "x"))
        position = (await socket.event())["position"]
    monkeypatch.setattr("bounded_contexts.realtime.adapters.catch_up.CatchUp._is_resumed", never_resumed)
    async with listening_from(node, house, ann, position) as back:
        told = await back.take()
        await back.subscribe(id_="2")
        await back.settled()
        await publish(house, message(ann, [uuid4()], "y"))

        assert (told["type"], told["id"], told["payload"][0]["extensions"]["code"]) == ("error", "1", "resync_required")
        assert (await back.event("2"))["body"] == "y"


async def never_resumed(*_: object) -> bool:
    return False


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({}, "unauthenticated"),
        ({"token": "nonsense"}, "unauthenticated"),
        ({"token": "expired"}, "token_expired"),
        ({"token": 7}, "validation_failed"),
        ({"token": "good", "position": "made up"}, "invalid_stream_position"),
        (["good"], "validation_failed"),
    ],
)
async def test_who_is_not_let_in_learns_why(house: House, node: str, payload: Any, code: str) -> None:
    tokens = shared_key_tokens(house.settings)
    text = json.dumps(payload).replace("expired", tokens.issue(uuid4(), lifetime=timedelta(minutes=-5)))
    async with opened(node) as socket:
        await socket.say(type="connection_init", payload=json.loads(text.replace("good", token(house, uuid4()))))

        assert await socket.ended() == (4403, code)


async def test_other_protocols_and_pages_of_others_are_refused(node: str) -> None:
    for more, status in (
        ({"subprotocols": [Subprotocol("graphql-ws")]}, 400),
        ({"subprotocols": None}, 400),
        ({"additional_headers": {"Origin": "https://evil.example"}}, 403),
    ):
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            async with opened(node, **more):
                pass
        assert refused.value.response.status_code == status


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "subscribe", "id": "1", "payload": {"query": EVENTS}}, 4401),
        ({"type": "start", "id": "1"}, 4400),
        ("{", 4400),
        ("[" * 60_000, 4400),
        (b"binary", 4400),
        ("x" * (64 * 1024 + 1), 1009),
    ],
)
async def test_who_says_nonsense_first_is_closed(node: str, frame: Any, code: int) -> None:
    async with opened(node) as socket:
        await socket.connection.send(json.dumps(frame) if isinstance(frame, dict) else frame)

        assert (await socket.ended())[0] == code


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "connection_init"}, 4429),
        ({"type": "subscribe", "id": "1", "payload": {"query": EVENTS}}, 4409),
        ({"type": "subscribe", "id": "", "payload": {"query": EVENTS}}, 4400),
        ({"type": "subscribe", "id": "2"}, 4400),
    ],
)
async def test_who_breaks_the_protocol_later_is_closed(house: House, node: str, frame: Any, code: int) -> None:
    async with listening(node, house, uuid4()) as socket:
        await socket.say(**frame)

        assert (await socket.ended())[0] == code


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ me { id } }", "wrong_transport"),
        ('mutation { startGroup(input: {title: "x"}) { id } }', "wrong_transport"),
        ("subscription { nothing }", "validation_failed"),
        ('subscription { messageEvents(conversationId: "x") { kind } }', "validation_failed"),
        ("subscription { a: messageEvents { kind } b: messageEvents { kind } }", "validation_failed"),
        ("subscription {", "bad_request"),
        ("subscription { messageEvents { " + "kind " * 200 + "} }", "query_too_large"),
        (
            "subscription { messageEvents { "
            + "...F " * 50
            + "} } fragment F on MessageEvent { kind body at actorId position }",
            "query_too_large",
        ),
        (7, "validation_failed"),
    ],
)
async def test_what_cannot_be_subscribed_to_is_an_error_of_its_own(
    house: House, node: str, query: Any, code: str
) -> None:
    ann = uuid4()
    async with listening(node, house, ann) as socket:
        await socket.subscribe(query, "wrong")
        answer = await socket.take()
        await publish(house, message(ann, [uuid4()], "still"))

        assert (answer["type"], answer["id"]) == ("error", "wrong")
        assert {each["extensions"]["code"] for each in answer["payload"]} == {code}
        assert (await socket.event())["body"] == "still"


async def test_a_variable_that_is_none_is_told_at_once(house: House, node: str) -> None:
    async with signed_in(node, token(house, uuid4())) as socket:
        await socket.subscribe(of="no id")
        answer = await socket.take()

    assert (answer["type"], answer["payload"][0]["extensions"]["code"]) == ("error", "validation_failed")


async def test_a_socket_has_only_so_many_subscriptions(house: House, node: str) -> None:
    async with signed_in(node, token(house, uuid4())) as socket:
        for number in range(graph_sockets.MOST_SUBSCRIPTIONS + 1):
            await socket.subscribe(id_=str(number))
        answer = await socket.take()

        assert answer["payload"][0]["extensions"]["code"] == "too_many_subscriptions"


async def test_one_user_opens_only_so_many_sockets_of_all_kinds(house: House, node: str) -> None:
    ann = uuid4()
    modern = await Device(node, {"token": token(house, ann)}).connect()
    async with signed_in(node, token(house, ann)), listening(node, house, ann), opened(node) as third:
        await third.say(type="connection_init", payload={"token": token(house, ann)})
        assert await third.ended() == (4403, "too_many_connections")
    await modern.client.disconnect()


async def test_who_does_not_say_who_it_is_is_closed(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_sockets, "INIT_S", 0.2)
    async with opened(node) as socket:
        await socket.settled()

        assert (await socket.ended())[0] == 4408


async def test_a_flood_is_ended(house: House, node: str) -> None:
    async with signed_in(node, token(house, uuid4())) as socket:
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(1000):
                await socket.say(type="pong")

        assert await socket.ended() == (1008, "rate_limited")


@pytest.mark.parametrize("has_subscribed", [True, False])
async def test_the_socket_ends_with_its_token(house: House, node: str, has_subscribed: bool) -> None:
    tokens = shared_key_tokens(house.settings)
    async with signed_in(node, tokens.issue(uuid4(), lifetime=timedelta(seconds=3) - LEEWAY)) as socket:
        if has_subscribed:
            await socket.subscribe()

        assert await socket.ended() == (4403, "token_expired")


@pytest.mark.parametrize("has_subscribed", [True, False])
async def test_the_socket_ends_when_its_user_is_blocked(house: House, node: str, has_subscribed: bool) -> None:
    ann = uuid4()
    async with signed_in(node, token(house, ann)) as socket:
        if has_subscribed:
            await socket.subscribe()
        await socket.settled()
        blocked = message(ann, [uuid4()], "x").sent_at
        await publish(house, UserBlocked(user_id=ann, blocked_by=uuid4(), blocked_at=blocked))

        assert await socket.ended() == (4403, "blocked")


async def test_a_client_that_stops_reading_is_cut_while_the_others_hear_all(house: House, node: str) -> None:
    ann, stalled, well = uuid4(), uuid4(), uuid4()
    log = KafkaLog(house.commands, house.codec)
    bodies = [f"{number} {'x' * 4000}" for number in range(2000)]
    async with listening(node, house, stalled, max_queue=1) as stuck, listening(node, house, well) as phone:
        stuck.connection.transport.pause_reading()

        async def write() -> None:
            for start in range(0, len(bodies), 200):
                await asyncio.gather(
                    *(log.publish(message(ann, [stalled, well], body)) for body in bodies[start : start + 200])
                )

        writing = asyncio.create_task(write())
        heard = [(await phone.event())["body"] for _ in bodies]
        await writing

        async def may_come_back() -> bool:
            """Its place is free once it has been cut: until then there is room for two more."""
            places = [opened(node) for _ in range(MOST)]
            async with places[0] as first, places[1] as second, places[2] as third:
                said = []
                for socket in (first, second, third):
                    await socket.say(type="connection_init", payload={"token": token(house, stalled)})
                for socket in (first, second, third):
                    with contextlib.suppress(websockets.ConnectionClosed):
                        said.append((await socket.take())["type"])
            return said == ["connection_ack"] * MOST

        await eventually(may_come_back, every=0.5)
        stuck.connection.transport.abort()
    assert heard == bodies


async def test_a_node_that_stops_closes_so_that_clients_come_back(house: House, settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with role_process(settings) as stopping:
            socket = await stack.enter_async_context(listening(stopping, house, uuid4()))
        assert (await socket.ended())[0] == frames.AWAY


async def test_nobody_hears_with_an_api_key(house: House, node: str) -> None:
    api = client_of(application(house, {"web"}, Health(("web",), {})), SharedKeyTokens(SECRET), None)
    new = {"email": f"ada.{uuid4().hex}@example.org", "password": "correct horse battery"}
    assert (await api.post("/auth/register", json=new | {"name": "Ada"})).status_code == 201
    api.headers["authorization"] = f"Bearer {(await api.post('/auth/login', json=new)).json()['access_token']}"
    made = await api.post("/me/api-keys", json={"name": "program", "scopes": ["messages:read", "conversations:read"]})
    async with opened(node) as socket:
        await socket.say(type="connection_init", payload={"token": made.json()["key"]})

        assert await socket.ended() == (4403, "scope_missing")


async def test_queries_and_subscriptions_share_an_address_where_the_roles_share_a_process(
    house: House, settings: Settings
) -> None:
    ann, bob = uuid4(), uuid4()
    send = """mutation ($input: SendToPeopleInput!) { sendMessageToPeople(input: $input) { messageId } }"""
    new = {"participants": [str(ann), str(bob)], "clientId": "1", "body": "Hello"}
    async with (
        role_process(settings, "web") as url,
        listening(url, house, bob) as socket,
        httpx.AsyncClient(headers={"authorization": f"Bearer {token(house, ann)}"}) as api,
    ):
        sent = await api.post(f"{url}/graphql", json={"query": send, "variables": {"input": new}})
        heard = await socket.event()

    assert heard["body"] == "Hello"
    assert heard["messageId"] == sent.json()["data"]["sendMessageToPeople"]["messageId"]


@asynccontextmanager
async def official_client(access_token: str, *urls: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Run the official client on these nodes, one after the other, while the block lasts; yield what it tells."""
    project = await asyncio.to_thread(installed, Path(__file__).parent / "graphql_ws")
    addresses = [f"{url.replace('http', 'ws')}/graphql" for url in urls]
    program = await asyncio.create_subprocess_exec(
        "node", "subscribe.mjs", access_token, *addresses, cwd=project, stdout=asyncio.subprocess.PIPE
    )
    told: list[dict[str, Any]] = []

    async def note() -> None:
        assert program.stdout
        async for line in program.stdout:
            told.append(json.loads(line))  # noqa: PERF401 – others look at it meanwhile

    noting = asyncio.create_task(note())
    try:
        yield told
    finally:
        program.kill()
        await program.wait()
        await noting


async def test_the_official_client_hears_and_goes_on_at_another_node(house: House, settings: Settings) -> None:
    ann, bob = uuid4(), uuid4()
    async with role_process(settings) as second, contextlib.AsyncExitStack() as client:
        async with role_process(settings) as first:
            told = await client.enter_async_context(official_client(token(house, bob), first, second))

            async def bodies() -> list[str]:
                return [each["body"] for each in told if "body" in each]

            async def heard_one() -> bool:
                """Its subscription takes effect a moment after it has connected."""
                await publish(house, message(ann, [bob], "first"))
                return bool(await bodies())

            await eventually(heard_one, every=0.2)
        await publish(house, message(ann, [bob], "second"))
        heard = await eventually(bodies, until=lambda found: found[-1:] == ["second"])

    assert set(heard) == {"first", "second"}
    assert heard.count("second") == 1
    assert len({each["position"] for each in told if "position" in each}) == len(heard)
    assert len([each for each in told if "connected" in each]) == 2


async def test_subscriptions_that_are_alike_are_run_once_for_each_event(
    house: House, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = uuid4(), uuid4()
    runs: list[object] = []
    heard = Subscription.heard

    async def noted(self: Subscription, event: object) -> Any:
        runs.append(event)
        return await heard(self, event)

    monkeypatch.setattr(Subscription, "heard", noted)
    sent = message(ann, [bob], "x")
    async with (
        listening(node, house, ann) as hers,
        listening(node, house, bob) as his,
        listening(node, house, bob) as tab,
    ):
        await tab.subscribe(id_="2", of=str(sent.conversation_id))
        await tab.subscribe(id_="3", of=str(sent.conversation_id).upper(), undeclared=str(uuid4()))
        await tab.settled()
        await publish(house, sent)
        alike = [await each.event() for each in (hers, his, tab)]
        others = [await tab.event(id_) for id_ in ("2", "3")]

    assert alike == [others[0]] * 3
    assert others[0] == others[1]
    assert len(runs) == 2
