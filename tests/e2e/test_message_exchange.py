"""From a command over REST to every recipient's socket, history and inbox; and what happens when processes die."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import socketio

from tests.e2e.conftest import Stack
from tests.probes import eventually

Api = Callable[[str | UUID], httpx.AsyncClient]
GATEWAYS = ("realtime.delivery.1", "realtime.delivery.2")


class Device:
    """One connected client that notes what it hears."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.events: list[dict[str, Any]] = []
        self.session: dict[str, Any] = {}
        self.revoked: str | None = None  # why the session ended
        self.client.on("*", self._heard, namespace="/chat")

    async def _heard(self, name: str, event: Any) -> None:
        if name == "session.ready":
            self.session = event
        elif name == "session.revoked":
            self.revoked = event["reason"]
        elif "position" in event:
            self.events.append(event)

    @property
    def position(self) -> str:
        return str(self.events[-1]["position"] if self.events else self.session["position"])

    def bodies(self) -> list[str]:
        return [event["data"]["body"] for event in self.events if event["type"] == "message.created"]


@asynccontextmanager
async def device(
    stack: Stack, user: UUID, gateway: str, position: str | None = None, token: str | None = None
) -> AsyncIterator[Device]:
    """Connect while the block lasts."""
    connected = Device()
    auth = {"token": token or stack.token(user)} | ({"position": position} if position else {})
    url = f"http://127.0.0.1:{stack.process(gateway)['port']}"

    async def connect() -> bool:
        with contextlib.suppress(socketio.exceptions.ConnectionError):
            if connected.client.eio.http:  # of a try that failed
                await connected.client.eio.http.close()
            await connected.client.connect(
                url, namespaces=["/chat"], auth=auth, transports=["websocket"], wait_timeout=60
            )
        return bool(connected.client.connected)

    await eventually(connect)

    async def ready() -> bool:
        return bool(connected.session)

    await eventually(ready)
    try:
        yield connected
    finally:
        await connected.client.disconnect()


async def send(api: httpx.AsyncClient, people: list[UUID], body: str, client_id: str | None = None) -> dict[str, Any]:
    content = {"participants": [str(each) for each in people], "body": body, "client_id": client_id or str(uuid4())}
    answer = await api.post("/messages", json=content)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def history(api: httpx.AsyncClient, conversation: str) -> list[dict[str, Any]]:
    """Return the whole conversation, oldest first."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 200, "order": "oldest"}
    while True:
        answer = await api.get(f"/conversations/{conversation}/messages", params=query)
        if answer.status_code != 200:
            return found
        page = answer.json()
        found += page["data"]
        if not page["page"]["has_more"]:
            return found
        query = {"limit": 200, "cursor": page["page"]["next_cursor"]}


async def test_one_message_reaches_every_recipient_on_every_gateway_history_and_inbox(stack: Stack, api: Api) -> None:
    ann, bob, eve = uuid4(), uuid4(), uuid4()
    async with (
        device(stack, bob, GATEWAYS[0]) as phone,
        device(stack, bob, GATEWAYS[1]) as laptop,
        device(stack, ann, GATEWAYS[1]) as sender,
        device(stack, eve, GATEWAYS[0]) as stranger,
    ):
        sent = await send(api(ann), [ann, bob], "Hello")

        async def heard() -> bool:
            return all(each.bodies() == ["Hello"] for each in (phone, laptop, sender))

        await eventually(heard)
        assert stranger.events == []
    (stored,) = await eventually(lambda: history(api(bob), sent["conversation_id"]))
    assert stored["id"] == sent["message_id"]

    async def unread() -> int:
        return int((await api(bob).get("/notifications/counts")).json()["unread"])

    assert await eventually(unread) == 1


async def test_a_message_sent_over_a_socket_is_acknowledged_and_not_echoed(stack: Stack, api: Api) -> None:
    ann, bob = uuid4(), uuid4()
    async with device(stack, ann, GATEWAYS[0]) as sending, device(stack, bob, GATEWAYS[1]) as receiving:
        payload = {"client_id": "one", "participants": [str(ann), str(bob)], "body": "over the wire"}

        first = await sending.client.call("message.send", payload, namespace="/chat")
        again = await sending.client.call("message.send", payload, namespace="/chat")
        refused = await sending.client.call(
            "message.send", payload | {"participants": [str(bob), str(uuid4())]}, namespace="/chat"
        )

        assert [first["ok"], again["ok"]] == [True, True]
        assert first["data"]["message_id"] == again["data"]["message_id"]
        assert (refused["ok"], refused["error"]["code"]) == (False, "not_a_member")

        async def heard() -> list[str]:
            return receiving.bodies()

        assert await eventually(heard) == ["over the wire"]
        await send(api(ann), [ann, bob], "over REST")
        await eventually(heard, until=lambda found: len(found) == 2)

        async def own() -> list[str]:
            return sending.bodies()

        assert await eventually(own) == ["over REST"]
        assert receiving.bodies() == ["over the wire", "over REST"]


async def test_a_client_of_a_dead_gateway_resumes_on_the_other_one_without_loss(stack: Stack, api: Api) -> None:
    ann, bob = uuid4(), uuid4()
    expected: list[str] = []
    heard: list[str] = []
    sending = api(ann)
    stop = asyncio.Event()

    async def keep_sending() -> None:
        while not stop.is_set():
            body = str(len(expected))
            await send(sending, [ann, bob], body)
            expected.append(body)

    talking = asyncio.create_task(keep_sending())
    position = None
    for turn in range(3):
        gateway = GATEWAYS[turn % 2]
        async with device(stack, bob, gateway, position) as receiving:
            if position:
                assert receiving.session["resumed"] is True

            async def some(receiving: Device = receiving) -> bool:
                return len(receiving.events) > 10

            await eventually(some)
            if turn < 2:
                stack.kill(gateway)

                async def cut(receiving: Device = receiving) -> bool:
                    return not receiving.client.connected

                await eventually(cut)
            else:
                stop.set()
                await talking

                async def all_heard(receiving: Device = receiving) -> bool:
                    return receiving.bodies()[-1:] == expected[-1:]

                await eventually(all_heard)
            heard += receiving.bodies()
            position = receiving.position

    first = int(heard[0])
    assert heard == expected[first:]


async def test_what_was_acknowledged_survives_the_death_of_web_and_of_history(stack: Stack, api: Api) -> None:
    people = [uuid4() for _ in range(4)]
    acknowledged: dict[str, str] = {}
    unknown: set[str] = set()
    stop = asyncio.Event()

    async def talk(user: UUID) -> str:
        """Send one by one; what was not answered is sent again, as clients do."""
        conversation, number = "", 0
        while not stop.is_set():
            client_id = f"{user}/{number}"
            try:
                sent = await send(api(user), people, client_id, client_id)
            except (httpx.TransportError, AssertionError):
                unknown.add(client_id)
                await asyncio.sleep(0.05)
                continue
            acknowledged[client_id], conversation = sent["message_id"], sent["conversation_id"]
            number += 1
        return conversation

    talking = [asyncio.create_task(talk(user)) for user in people]

    async def going_on(than: int) -> None:
        async def more() -> bool:
            return len(acknowledged) > than + 50

        await eventually(more)

    for victim in ("messaging.history.1", "web", "messaging.history.2", "work", "web"):
        await going_on(len(acknowledged))
        stack.kill(victim)
    await going_on(len(acknowledged))
    stop.set()
    conversation, *_ = await asyncio.gather(*talking)

    async def stored() -> list[dict[str, Any]]:
        return await history(api(people[0]), conversation)

    found = await eventually(stored, until=lambda messages: len(messages) >= len(acknowledged))
    counted = Counter(message["client_id"] for message in found)
    assert [client_id for client_id in acknowledged if counted[client_id] != 1] == []
    assert [client_id for client_id, count in counted.items() if count > 1] == []
    assert {client_id for client_id in counted if client_id not in acknowledged} <= unknown
    assert [message["seq"] for message in found] == list(range(1, len(found) + 1))
    for user in people:
        own = [message["client_id"] for message in found if message["sender_id"] == str(user)]
        assert own == [f"{user}/{number}" for number in range(len(own))]
        assert await history(api(user), conversation) == found


async def test_a_second_terminal_finds_the_stack(stack: Stack, api: Api) -> None:
    ann, bob = uuid4(), uuid4()
    sent = await send(api(ann), [ann, bob], "for the record")

    tail = await asyncio.to_thread(stack.headwater, "audit", "tail", "messages", "--from", "beginning", "--no-follow")
    token = (await asyncio.to_thread(stack.headwater, "token", str(ann))).strip()
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}) as client:
        answer = await client.get(f"{stack.url}/api/v1/conversations")

    assert sent["message_id"] in tail
    assert "for the record" in tail
    assert answer.status_code == 200
