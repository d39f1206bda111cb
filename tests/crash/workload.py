"""Clients over REST and one kind of client over the socket. What each means and hears is noted."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import socketio

from tests.crash.evidence import Heard
from tests.crash.history import History, Kind, Outcome

CHAT = "/chat"
MEMBERS = 4  # of a group
PATIENCE_S = 60.0  # for one request and its repetitions
AGAIN_S = 0.1
WEIGHTS: dict[Kind, int] = {"send": 90, "edit": 4, "delete": 2, "rename": 2, "mark": 2}

Rest = Callable[[str], httpx.AsyncClient]  # of a user


class Client:
    """One user's requests, one after the other."""

    def __init__(self, user: str, rest: Rest, history: History) -> None:
        self.user = user
        self._api = rest(user)
        self._history = history
        self._chance = random.Random(user)
        self._sent = 0
        self.ids: dict[str, str] = {}  # of messages that were acknowledged, by name

    async def send(self, to: "list[str] | str", *, insists: bool = True) -> Outcome:
        """Send to these people, or to a group. Who `insists` repeats the request while its outcome is unknown."""
        self._sent += 1
        name = f"{self.user[:13]}-{self._sent}"
        body: dict[str, Any] = {"body": name, "client_id": name}
        path = f"/conversations/{to}/messages" if isinstance(to, str) else "/messages"
        if not isinstance(to, str):
            body["participants"] = to
        outcome, answer = await self._ask("send", name, "", lambda: self._api.post(path, json=body), insists=insists)
        if answer is not None:
            self.ids[name] = answer.json()["message_id"]
        return outcome

    async def edit(self) -> None:
        """Give one of one's messages another text."""
        if self.ids:
            target = self._chance.choice(list(self.ids))
            self._sent += 1
            name = f"{target}-edit-{self._sent}"
            path, body = f"/messages/{self.ids[target]}", {"body": name, "client_id": name}
            await self._ask("edit", name, target, lambda: self._api.patch(path, json=body))

    async def delete(self) -> None:
        """Take back one of one's messages."""
        if self.ids:
            target = self._chance.choice(list(self.ids))
            path = f"/messages/{self.ids.pop(target)}"
            await self._ask("delete", f"{target} deleted", target, lambda: self._api.delete(path))

    async def rename(self, group: str) -> None:
        """Give a group another title."""
        title = f"title {uuid4()}"
        path = f"/conversations/{group}"
        await self._ask("rename", title, group, lambda: self._api.patch(path, json={"title": title}))

    async def mark(self) -> None:
        """Have seen everything."""
        body = {"state": "read", "all_until": datetime.now(UTC).isoformat()}
        await self._ask("mark", f"mark {uuid4()}", "", lambda: self._api.post("/notifications:mark", json=body))

    async def _ask(
        self,
        kind: Kind,
        name: str,
        target: str,
        request: Callable[[], Awaitable[httpx.Response]],
        *,
        insists: bool = True,
    ) -> tuple[Outcome, httpx.Response | None]:
        return await noted(self._history, kind, name, self.user, target, request, insists=insists)


async def noted(
    history: History,
    kind: Kind,
    name: str,
    actor: str,
    target: str,
    request: Callable[[], Awaitable[httpx.Response]],
    *,
    insists: bool = True,
) -> tuple[Outcome, httpx.Response | None]:
    """Note what is asked, ask it, and note what became of it. Return that, and the answer if it was a success."""
    await history.intent(kind, name, actor, target)
    outcome, answer = await _asked(request, insists)
    await history.answer(name, outcome)
    return outcome, answer


async def _asked(
    request: Callable[[], Awaitable[httpx.Response]], insists: bool
) -> tuple[Outcome, httpx.Response | None]:
    """Return the outcome of a request; a refused connection is no attempt, a refusal after a doubtful one no answer."""
    until = monotonic() + PATIENCE_S
    doubtful = False
    while monotonic() < until:
        try:
            answer = await request()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            await asyncio.sleep(AGAIN_S)
            continue
        except httpx.TransportError:
            doubtful = True
        else:
            if answer.is_success:
                return "ok", answer
            if answer.is_client_error:
                return ("unknown" if doubtful else "fail"), None
            doubtful = True
        if not insists:
            break
        await asyncio.sleep(AGAIN_S)
    return "unknown", None


class Load:
    """Clients that talk in pairs and in groups, at a rate."""

    def __init__(self, users: list[str], rest: Rest, history: History, seed: int) -> None:
        self.clients = [Client(user, rest, history) for user in users]
        self.groups: dict[str, list[str]] = {}  # id → members; the first of them renames it
        self._rest = rest
        self._seed = seed

    async def start_groups(self) -> None:
        """Start a group for each so many users, before anything goes wrong."""
        users = [each.user for each in self.clients]
        for at in range(0, len(users), MEMBERS):
            members = users[at : at + MEMBERS]
            body = {"title": f"group {at}", "member_ids": members[1:]}
            answer = await self._rest(members[0]).post("/conversations", json=body, headers={"Prefer": "wait=10"})
            self.groups[answer.raise_for_status().json()["id"]] = members

    async def run(self, rate: float, stop: asyncio.Event) -> None:
        """Have all clients talk, together so many times a second or as fast as they are answered."""
        each = len(self.clients) / rate
        await asyncio.gather(*(self._talk(number, each, stop) for number in range(len(self.clients))))

    async def _talk(self, number: int, every: float, stop: asyncio.Event) -> None:
        chance = random.Random(f"{self._seed}/{number}")
        client, pair = self.clients[number], self.clients[number ^ 1]
        group, members = next((id_, members) for id_, members in self.groups.items() if client.user in members)
        due = monotonic() + chance.uniform(0, every)
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due - monotonic()))
            due = max(due + every, monotonic() - 1.0)  # a second is made up for, an outage is not
            (kind,) = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
            if kind == "send":
                to = [client.user, pair.user] if chance.random() < 0.6 else group
                await client.send(to, insists=chance.random() < 0.7)
            elif kind == "rename" and client.user != members[0]:
                continue
            else:
                await (client.rename(group) if kind == "rename" else getattr(client, kind)())


class Listener:
    """A user's socket that comes back, wherever there is a gateway, with the position of what it heard last."""

    def __init__(self, token: str, gateways: Callable[[], list[str]], seed: int) -> None:
        self.heard: list[Heard] = []
        self.connections = 0
        self.is_lost = False  # told to load everything anew
        self._auth = {"token": token}
        self._gateways = gateways
        self._ids: set[tuple[str, str]] = set()
        self._chance = random.Random(seed)

    async def run(self) -> None:
        """Listen until cancelled."""
        async with aiohttp.ClientSession() as http:
            while True:
                client = socketio.AsyncClient(
                    reconnection=False, http_session=http, logger=False, engineio_logger=False
                )
                client.on("*", self._hear, namespace=CHAT)
                try:
                    url = self._chance.choice(self._gateways())
                    options = {"namespaces": [CHAT], "auth": self._auth, "transports": ["websocket"]}
                    await asyncio.wait_for(client.connect(url, wait_timeout=5, **options), 10)
                    self.connections += 1
                    await client.wait()
                except (socketio.exceptions.ConnectionError, TimeoutError):
                    await asyncio.sleep(AGAIN_S)
                finally:
                    with contextlib.suppress(Exception):  # whatever state it was left in, it is not used again
                        await asyncio.wait_for(client.disconnect(), 1)

    async def hears(self, name: str, within: float) -> bool:
        """Wait for this text; return whether it came."""
        until = monotonic() + within
        while monotonic() < until:
            if any(each.name == name for each in self.heard[-100:]):
                return True
            await asyncio.sleep(AGAIN_S)
        return False

    async def _hear(self, name: str, event: dict[str, Any]) -> None:
        if name == "resync.required":
            self.is_lost = True
        if name == "session.ready":  # its place lies behind what was missed, which is about to come
            self._auth.setdefault("position", event["position"])
        elif "position" in event:
            self._auth["position"] = event["position"]
        if "id" in event and (name, event["id"]) not in self._ids:
            self._ids.add((name, event["id"]))
            data = event["data"]
            self.heard.append(Heard(name, data.get("conversation_id", ""), data.get("body", "")))
