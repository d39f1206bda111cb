"""What operators see and do, on the real servers: lag, pauses, dead letters, replays; by command and over REST."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from typer.testing import CliRunner, Result

from headwater.cli import app
from headwater.web import application
from headwater.wiring import House
from infra.access_tokens import SharedKeyTokens
from infra.consumer import ConsumerRunner
from infra.dead_letters import Choice, Letter
from infra.group_operations import GroupOperations
from infra.health import Health
from infra.kafka_log import KafkaLog
from schemas.messaging.events import MessageSent
from shared_kernel.errors import Conflict, Refused
from shared_kernel.module import Consumer, Module, on
from shared_kernel.records import Record
from tests.contract.test_event_log import sent
from tests.integration.conftest import Client, client_of
from tests.probes import during, eventually

GROUP = "messaging.history"


@dataclass
class Hearer:
    """Notes what it hears and refuses what it is told to."""

    refuses: set[str] = field(default_factory=set)
    heard: list[str] = field(default_factory=list)

    async def __call__(self, message: MessageSent) -> None:
        if message.body in self.refuses:
            raise ValueError(f"cannot bear {message.body}")
        self.heard.append(message.body)


class Stage:
    """One group of a house, by a name the house knows, with a handler of the test's own."""

    def __init__(self, house: House, **declared: Any) -> None:
        self.house = house
        self.hearer = Hearer()
        self.consumer = Consumer(GROUP, (on(MessageSent, self.hearer),), **declared)
        self.operations = GroupOperations(
            house.kafka, [Module(name="messaging", consumers=(self.consumer,))], house.groups
        )
        self.log = KafkaLog(house.commands, house.codec)

    async def publish(self, key: UUID, *bodies: str) -> None:
        for body in bodies:
            await self.log.publish(sent(key, body))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        house = self.house
        runner = ConsumerRunner(self.consumer, house.broker, house.codec, house.groups["messaging"], house.bulk)
        async with during(runner.run()):
            yield

    async def heard(self, *bodies: str) -> None:
        async def found() -> list[str]:
            return self.hearer.heard

        await eventually(found, until=lambda heard: heard == list(bodies))

    async def letters(self, count: int) -> None:
        async def found() -> int:
            return await self.operations.count_letters(GROUP, Choice())

        await eventually(found, until=lambda number: number == count)

    async def lag(self) -> int:
        (view,) = await self.operations.view([GROUP])
        return view.lag


@pytest.mark.parametrize("lanes", [0, 8])
async def test_redriven_letters_come_in_the_order_of_their_key(own_house: House, lanes: int) -> None:
    stage, key, other = Stage(own_house, parks=True, lanes=lanes), uuid4(), uuid4()
    stage.hearer.refuses = {"b"}
    await stage.publish(key, "a")

    async with stage.running():
        await stage.heard("a")
        await stage.publish(key, "b", "c", "d")
        await stage.letters(3)
        await stage.publish(other, "free")
        await stage.heard("a", "free")
        first, *behind = await stage.operations.letters(GROUP, Choice())
        stage.hearer.refuses = set()
        assert await stage.operations.redrive(GROUP, Choice(id=first.id)) == 3  # order per key: those behind come along
        await stage.heard("a", "free", "b", "c", "d")
        await stage.letters(0)
        await stage.publish(key, "e")
        await stage.heard("a", "free", "b", "c", "d", "e")

    assert (first.error, first.attempts) == ("ValueError: cannot bear b", 3)
    assert [each.attempts for each in behind] == [0, 0]


async def test_a_letter_that_fails_again_keeps_what_waits_behind_it(own_house: House) -> None:
    stage, key = Stage(own_house, parks=True), uuid4()
    stage.hearer.refuses = {"a"}
    await stage.publish(key, "a", "b")

    async def attempts() -> list[int]:
        return [each.attempts for each in await stage.operations.letters(GROUP, Choice())]

    async with stage.running():
        await stage.letters(2)
        await stage.operations.redrive(GROUP, Choice(key=str(key)))
        await eventually(attempts, until=lambda found: found == [4, 0])
        assert stage.hearer.heard == []
        assert await stage.operations.discard(GROUP, Choice(type="of nobody")) == 0
        first, second = await stage.operations.letters(GROUP, Choice())
        assert not first.is_due and not second.is_due  # noqa: PT018
        await stage.operations.discard(GROUP, Choice(id=first.id))
        await stage.operations.redrive(GROUP, Choice())
        await stage.heard("b")


async def test_a_paused_group_begins_nothing_until_it_is_resumed(own_house: House) -> None:
    stage, key = Stage(own_house), uuid4()

    async def running() -> int:
        (view,) = await stage.operations.view([GROUP])
        return len(view.members)

    await stage.operations.pause(GROUP)
    async with stage.running():
        await eventually(running)
        await stage.publish(key, "a")
        await eventually(stage.lag, until=lambda lag: lag == 1)
        (view,) = await stage.operations.view([GROUP])
        assert (view.state, view.oldest is not None, stage.hearer.heard) == ("paused", True, [])
        await stage.operations.resume(GROUP)
        await stage.heard("a")
        await eventually(stage.lag, until=lambda lag: lag == 0)
    (view,) = await stage.operations.view([GROUP])
    assert view.state == "stopped"


async def test_a_replay_repeats_a_stretch_and_nothing_after_it(own_house: House) -> None:
    stage, key = Stage(own_house), uuid4()
    await stage.publish(key, "0", "1", "2", "3", "4")
    async with stage.running():
        await stage.heard("0", "1", "2", "3", "4")
        await eventually(stage.lag, until=lambda lag: lag == 0)
        moves = await stage.operations.plan_replay(GROUP, "1", "3")
        with pytest.raises(Conflict, match="group_is_running"):
            await stage.operations.replay(GROUP, moves)

    await eventually(lambda: stage.operations.is_stopped(GROUP))
    await stage.publish(key, "5")
    await stage.operations.replay(GROUP, moves)
    async with stage.running():
        await stage.heard("0", "1", "2", "3", "4", "1", "2", "5")

    assert [move.records for move in moves] == [2]
    await eventually(lambda: stage.operations.is_stopped(GROUP))
    with pytest.raises(Conflict, match="group_has_moved"):
        await stage.operations.replay(GROUP, moves)


async def test_a_replay_never_skips_and_asks_before_it_repeats_effects(own_house: House) -> None:
    stage, key = Stage(own_house, has_outside_effects=True), uuid4()
    await stage.publish(key, "a", "b")

    assert await stage.operations.plan_replay(GROUP, "2", None) == []
    async with stage.running():
        await stage.heard("a", "b")
    moves = await stage.operations.plan_replay(GROUP, "1970-01-01", None)
    with pytest.raises(Refused, match="outside_effects"):
        await stage.operations.replay(GROUP, moves)
    await eventually(lambda: stage.operations.is_stopped(GROUP))
    await stage.operations.replay(GROUP, moves, with_effects=True)
    async with stage.running():
        await stage.heard("a", "b", "a", "b")


async def test_the_commands_do_the_same(own_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, key = Stage(own_house), uuid4()
    for name, value in environment(own_house).items():
        monkeypatch.setenv(name, value)
    stage.hearer.refuses = {"b"}
    await stage.publish(key, "a")
    async with stage.running():
        await stage.heard("a")
        await stage.publish(key, "b", "c")
        await stage.letters(1)
        await eventually(stage.lag, until=lambda lag: lag == 0)
        listed = json.loads((await command("groups", "--json")).stdout)
        (letter,) = json.loads((await command("dlq", "list", GROUP, "--json")).stdout)
        shown = (await command("dlq", "show", GROUP, letter["id"])).stdout
        refused = await command("dlq", "redrive", GROUP)
        wrong = [
            await command("dlq", "redrive", GROUP, "--key", "nobody's"),
            await command("dlq", "discard", GROUP, "--all"),
            await command("dlq", "list", GROUP, "--after", "nowhere"),
        ]
        begun = await command("replay", GROUP, "--from", "beginning", "--dry-run")
        dry = await command("dlq", "redrive", GROUP, "--all", "--dry-run")
        stage.hearer.refuses = set()
        await command("dlq", "redrive", GROUP, "--id", letter["id"])
        await stage.heard("a", "c", "b")
        await command("groups", "pause", GROUP)
        await command("groups", "resume", GROUP)

    (row,) = [each for each in listed if each["group"] == GROUP]
    assert (row["state"], row["members"], row["lag"], row["dead_letters"]) == ("running", 1, 0, 1)
    assert "cannot bear b" in shown
    assert "dlq_" not in shown
    assert refused.exit_code == 1
    assert "nothing_chosen" in refused.stderr
    assert [(each.exit_code, each.stderr.split()[1]) for each in wrong] == [
        (1, "letter_not_found:"),
        (1, "not_confirmed:"),
        (1, "invalid_choice:"),
    ]
    assert "1 letter(s)" in dry.stdout
    assert (begun.exit_code, "stop its processes" in begun.stderr) == (0, True)
    await eventually(lambda: stage.operations.is_stopped(GROUP))
    plan = json.loads((await command("replay", GROUP, "--from", "beginning", "--dry-run", "--json")).stdout)
    assert [each["records"] for each in plan] == [3]
    assert (await command("replay", GROUP, "--from", "beginning")).exit_code == 0
    async with stage.running():
        await stage.heard("a", "c", "b", "a", "b", "c")


async def test_the_admin_routes_are_for_operators(client: Client, web_house: House, groups: None) -> None:
    member, operator = client(uuid4()), client(uuid4(), "operator")
    path = f"/admin/groups/{GROUP}"

    assert (await member.get("/admin/groups")).status_code == 403
    assert (await client().get("/admin/groups")).status_code == 401
    listed = (await operator.get("/admin/groups")).json()["data"]
    consumers = {each.group for module in web_house.modules for each in module.consumers}
    assert {each["group"] for each in listed} == consumers | {"audit.log"}
    await eventually(
        lambda: read(operator, path), until=lambda found: sum(each["partitions"] for each in found["members"]) > 0
    )
    assert (await operator.get("/admin/groups/none")).status_code == 404
    assert (await operator.post(f"{path}:pause")).status_code == 204
    assert (await operator.get(path)).json()["state"] == "paused"
    assert (await operator.post(f"{path}:resume")).status_code == 204
    none = {"data": [], "total": 0, "page": {"next_cursor": None, "has_more": False}}
    assert (await operator.get(f"{path}/dead-letters")).json() == none
    for query in ({"key": "a\0b"}, {"cursor": "nowhere"}):
        refused = await operator.get(f"{path}/dead-letters", params=query)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_choice")
    assert (await operator.post(f"{path}/dead-letters:redrive", json={})).status_code == 422
    assert (await operator.post(f"{path}/dead-letters:redrive", json={"all": True})).json() == {"count": 0}
    assert (await operator.post(f"{path}/dead-letters:discard", json={"key": "k"})).json() == {"count": 0}


async def test_many_or_large_letters_come_in_pages(own_house: House, tokens: SharedKeyTokens) -> None:
    group, name = own_house.groups["messaging"], own_house.kafka.topic(GROUP)
    topic, now = own_house.kafka.topic("messages"), datetime.now(UTC)
    records = [Record(topic, 0, offset, b"k", bytes(900_000), [], 0) for offset in range(12)]
    operator = client_of(application(own_house, {"web"}, Health(("web",), {})), tokens, uuid4(), ("operator",))

    async def page(**query: Any) -> tuple[list[int], dict[str, Any], int]:
        answer = (await operator.get(f"/admin/groups/{GROUP}/dead-letters", params=query)).json()
        return [int(each["id"].rpartition("/")[2]) for each in answer["data"]], answer["page"], answer["total"]

    await group.letters.bury(name, [Letter(each, "why", "", 1, now) for each in records])
    first, more, total = await page()
    rest, end, _ = await page(cursor=more["next_cursor"])
    two, after_two, _ = await page(limit=2)

    assert first == list(range(10))  # 8 MiB are in the tenth
    assert (more["has_more"], total) == (True, 12)
    assert (rest, end) == ([10, 11], {"next_cursor": None, "has_more": False})
    assert (two, after_two["has_more"]) == ([0, 1], True)


@pytest.mark.parametrize("header", [b"\x1b[2J", b"[red]", b"[/]"])
async def test_what_was_written_does_not_steer_the_terminal(
    own_house: House, monkeypatch: pytest.MonkeyPatch, header: bytes
) -> None:
    for name, value in environment(own_house).items():
        monkeypatch.setenv(name, value)
    group, text = own_house.groups["messaging"], header.decode()
    record = Record(own_house.kafka.topic("messages"), 0, 7, header, b"", [("odd", header)], 0)
    letter = Letter(record, text, text, 1, datetime.now(UTC))
    await group.letters.bury(own_house.kafka.topic(GROUP), [letter])

    listed, shown = await command("dlq", "list", GROUP), await command("dlq", "show", GROUP, letter.id)

    plainly = text.replace("\x1b", "\\u001b")
    assert (listed.exit_code, shown.exit_code) == (0, 0)
    assert "\x1b" not in listed.stdout + shown.stdout
    assert f"header odd: {plainly}" in shown.stdout
    assert plainly in listed.stdout


async def read(operator: httpx.AsyncClient, path: str) -> dict[str, Any]:
    return dict((await operator.get(path)).json())


def environment(house: House) -> dict[str, str]:
    """Return what a process needs to reach the house's servers."""
    settings = house.settings
    assert settings.database_url and settings.secret_key and settings.jwt_hs256_secret  # noqa: PT018
    return {
        "HEADWATER_KAFKA_BOOTSTRAP_SERVERS": str(settings.kafka_bootstrap_servers),
        "HEADWATER_SCHEMA_REGISTRY_URL": str(settings.schema_registry_url),
        "HEADWATER_DATABASE_URL": settings.database_url.get_secret_value(),
        "HEADWATER_SECRET_KEY": settings.secret_key.get_secret_value(),
        "HEADWATER_JWT_HS256_SECRET": settings.jwt_hs256_secret.get_secret_value(),
        "HEADWATER_TOPIC_PREFIX": settings.topic_prefix,
    }


async def command(*arguments: str) -> Result:
    """Return what the command line answered; it runs its own loop, so it gets its own thread."""
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, list(arguments)))
