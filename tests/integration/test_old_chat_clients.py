"""What an older chat service's own tests ask, through the routes its clients know."""

import asyncio
from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

import httpx
import pytest

from headwater.web import application
from headwater.wiring import House, build
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from tests.integration.conftest import client_of
from tests.probes import eventually

pytestmark = pytest.mark.usefixtures("groups")

Old = Callable[[UUID], httpx.AsyncClient]


@pytest.fixture
async def old(web_house: House, tokens: SharedKeyTokens) -> Old:
    """Return a client of a user, at the root, of a process that serves the old routes."""
    shape = build(web_house.settings.model_copy(update={"compat_routes": True}))
    shape.codec, shape.modules = web_house.codec, web_house.modules
    app = application(shape, {"web"}, Health(("web",), {}))
    return lambda user: client_of(app, tokens, user, base_url="http://test")


async def send(api: httpx.AsyncClient, people: list[UUID], content: str) -> int:
    answer = await api.post("/api/messages", json={"participants": [str(each) for each in people], "content": content})
    return answer.status_code


async def read(api: httpx.AsyncClient, people: list[UUID], **query: int) -> list[str]:
    joined = ",".join(str(each) for each in people)
    answer = await api.get("/api/messages/get", params={"participants": joined, **query})
    assert answer.status_code == 200, answer.text
    return [message["content"] for message in answer.json()]


async def test_ten_users_write_ninety_messages_to_each_other(old: Old) -> None:
    users = [uuid4() for _ in range(10)]
    pairs = [(one, other) for one in users for other in users if one != other]

    statuses = await asyncio.gather(*(send(old(one), [one, other], f"from {one}") for one, other in pairs))

    assert statuses == [202] * 90
    for one, other in pairs[:20]:
        found = await eventually(partial(read, old(one), [other, one]), until=lambda got: len(got) == 2)
        assert sorted(found) == sorted([f"from {one}", f"from {other}"])


async def test_a_group_of_five_reads_the_same(old: Old) -> None:
    users = [uuid4() for _ in range(5)]
    for user in users:
        await send(old(user), users, str(user))

    await eventually(lambda: read(old(users[0]), users), until=lambda got: len(got) == 5)

    for user in users:
        assert await read(old(user), users[::-1]) == [str(each) for each in users[::-1]]


async def test_twenty_five_messages_are_pages_of_ten_ten_and_five(old: Old) -> None:
    ann, bob = uuid4(), uuid4()
    for number in range(25):
        await send(old(ann), [ann, bob], str(number))
    await eventually(lambda: read(old(ann), [ann, bob], size=100), until=lambda got: len(got) == 25)

    pages = [await read(old(bob), [ann, bob], page=page, size=10) for page in (1, 2, 3, 4)]

    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert [content for page in pages for content in page] == [str(number) for number in range(24, -1, -1)]


async def test_participants_may_stand_in_one_parameter_each(old: Old) -> None:
    ann, bob = uuid4(), uuid4()
    await send(old(ann), [ann, bob], "Hello")
    await eventually(lambda: read(old(ann), [ann, bob]), until=lambda got: got == ["Hello"])

    answer = await old(bob).get("/api/messages/get", params={"participants": [str(ann), str(bob)]})

    assert [message["content"] for message in answer.json()] == ["Hello"]


async def test_outsiders_neither_read_nor_send(old: Old) -> None:
    ann, bob, eve = uuid4(), uuid4(), uuid4()

    assert await send(old(eve), [ann, bob], "let me in") == 403
    answer = await old(eve).get("/api/messages/get", params={"participants": f"{ann},{bob}"})
    assert answer.status_code == 403


async def test_the_old_routes_are_off_unless_asked_for(web_house: House, tokens: SharedKeyTokens) -> None:
    app = application(web_house, {"web"}, Health(("web",), {}))

    assert await send(client_of(app, tokens, uuid4(), base_url="http://test"), [uuid4(), uuid4()], "x") == 404
