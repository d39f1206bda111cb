"""What older services' own tests ask, through the routes their clients know."""

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
from infra.kafka_reader import KafkaReader
from tests.integration.conftest import client_of
from tests.probes import eventually

pytestmark = pytest.mark.usefixtures("groups")

Old = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def old(web_house: House, tokens: SharedKeyTokens) -> Old:
    """Return a client of a user, at the root, of a process that serves the old routes."""
    shape = build(web_house.settings.model_copy(update={"compat_routes": True}))
    shape.codec, shape.modules = web_house.codec, web_house.modules
    app = application(shape, {"web"}, Health(("web",), {}))
    return lambda user, *roles: client_of(app, tokens, user, roles, base_url="http://test")


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


async def test_a_user_is_created_read_replaced_and_deleted(old: Old) -> None:
    root = old(uuid4(), "admin")
    email = f"ann.{uuid4().hex}@example.org"
    made = await root.post("/users", json={"name": " Ann ", "email": email})
    url = f"/users/{made.json()['id']}"
    read = await root.get(url)
    twice = await root.post("/users", json={"name": "Ann", "email": email.upper()})
    replaced = await root.put(url, json={"name": "Anna", "email": email})

    deleted, gone = await root.delete(url), await root.get(url)

    statuses = [each.status_code for each in (made, read, replaced, deleted, gone, twice)]
    assert statuses == [201, 200, 200, 204, 404, 409]
    assert made.headers["location"] == url
    assert made.json() == read.json() == {"id": made.json()["id"], "name": "Ann", "email": email}
    assert replaced.json()["name"] == "Anna"


@pytest.mark.parametrize(
    "body", [{}, {"name": "Ann"}, {"name": "\n", "email": "ann@example.org"}, {"name": "Ann", "email": "ann"}, []]
)
async def test_a_user_who_cannot_be_is_a_bad_request(old: Old, body: object) -> None:
    answer = await old(uuid4(), "admin").post("/users", json=body)

    assert (answer.status_code, answer.json()["status"]) == (400, 400)


async def test_of_twenty_users_with_one_address_one_is_created(old: Old) -> None:
    root, body = old(uuid4(), "admin"), {"name": "Ann", "email": f"ann.{uuid4().hex}@example.org"}
    answers = await asyncio.gather(*(root.post("/users", json=body) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19


async def test_old_routes_to_users_are_for_whom_the_new_ones_are(old: Old) -> None:
    ann = old(uuid4())

    assert (await ann.post("/users", json={"name": "Ann", "email": "ann@example.org"})).status_code == 403
    assert (await ann.get("/users")).status_code == 403
    assert (await ann.delete(f"/users/{uuid4()}")).status_code == 403


async def test_users_are_listed_by_name_and_address(old: Old) -> None:
    root = old(uuid4(), "admin")
    await root.post("/users", json={"name": "Ann", "email": f"ann.{uuid4().hex}@example.org"})

    async def listed() -> list[dict[str, str]]:
        return list((await root.get("/users", params={"limit": 1})).json())

    (first,) = await eventually(listed)

    assert first.keys() == {"id", "name", "email"}


async def test_ten_messages_more_are_counted_as_ten_more(old: Old, web_house: House) -> None:
    ann, bob = uuid4(), uuid4()

    async def count() -> int:
        return int((await old(ann).get("/analytics")).json()["events"]["messages"])

    async def written() -> int:
        async with KafkaReader(web_house.kafka).open(["messages"]) as reader:
            return sum((await reader.ends()).values())

    before = await written()
    await eventually(count, until=lambda found: found == before)
    statuses = [await send(old(ann), [ann, bob], str(number)) for number in range(10)]

    assert statuses == [202] * 10
    assert await eventually(count, until=lambda found: found >= before + 10) == before + 10


async def test_the_services_are_well(old: Old) -> None:
    answers = [await old(uuid4()).get(path) for path in ("/chat", "/chat/health", "/analytics/health")]

    assert [each.json() for each in answers] == [
        {"service": name, "status": "ok"} for name in ("chat", "chat", "analytics")
    ]


async def test_the_old_routes_are_off_unless_asked_for(web_house: House, tokens: SharedKeyTokens) -> None:
    app = application(web_house, {"web"}, Health(("web",), {}))

    assert await send(client_of(app, tokens, uuid4(), base_url="http://test"), [uuid4(), uuid4()], "x") == 404
