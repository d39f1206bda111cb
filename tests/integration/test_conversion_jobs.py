"""Conversion jobs on the real servers: from upload to result, and what may come in between."""

import asyncio
import contextlib
import gzip
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from bounded_contexts.documents.application.tidying import tidy
from headwater.web import application
from headwater.wiring import House
from headwater.wiring_documents import job_ports
from infra.access_tokens import SharedKeyTokens
from infra.health import Health
from infra.kafka_log import KafkaLog
from infra.outbox_relay import OutboxRelay
from schemas.documents.events import ConversionRequested
from schemas.identity.events import UserErased
from tests.conftest import SECRET
from tests.integration.channels import screen
from tests.integration.conftest import client_of, house_on_its_own_database, running
from tests.integration.nodes import node
from tests.integration.test_group_operations import environment
from tests.probes import during, eventually
from tests.servers import Servers
from tests.unit.memory_jobs import ToyConverter

ROOT = Path(__file__).parents[2]
JOBS = "/documents/conversions"
ROWS = [{"a": 1, "b": "one"}, {"a": 2, "b": None}]
CSV = b"a,b\r\n1,one\r\n2,\r\n"
OVER = ("converted", "failed", "cancelled")


class Desk:
    """A house with a database of its own, and people who have documents converted."""

    def __init__(self, house: House, directory: Path) -> None:
        self.house, self.directory = house, directory
        self.app = application(house, {"web"}, Health(("web",), {}))
        self.tokens = SharedKeyTokens(SECRET)

    def client(self, user: UUID | None = None, *roles: str) -> httpx.AsyncClient:
        return client_of(self.app, self.tokens, user or uuid4(), roles)

    async def upload(self, api: httpx.AsyncClient, content: bytes, key: str = "", **query: str) -> dict[str, Any]:
        """Have a document converted. Return the job as it is answered."""
        headers = {"idempotency-key": key} if key else {}
        answer = await api.post(JOBS, params={"from": "json", "to": "csv"} | query, content=content, headers=headers)
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"/api/v1{JOBS}/{answer.json()['id']}"
        return dict(answer.json())

    async def over(self, api: httpx.AsyncClient, id_: str) -> dict[str, Any]:
        """Return the job once it is over."""
        return await eventually(lambda: job(api, id_), until=lambda found: found["status"] in OVER)

    async def converted(self, api: httpx.AsyncClient, content: bytes, **query: str) -> dict[str, Any]:
        return await self.over(api, (await self.upload(api, content, **query))["id"])

    @property
    def files(self) -> list[Path]:
        return [Path(at, file) for at, _, files in os.walk(self.directory) for file in files]  # some go meanwhile

    async def has_nothing_of(self, id_: str) -> None:
        """Wait until no file of the job is left: they go after its end is recorded, which can be seen before."""

        async def left() -> list[Path]:
            return [path for path in self.files if UUID(id_).hex in path.parts]

        await eventually(left, until=lambda paths: not paths)

    async def recorded(self, id_: str) -> list[str]:
        """Return the names of what has happened to the job."""
        query = "select type from documents.event where stream = $1 order by version"
        async with self.house.databases["documents"].driver() as connection:
            return [row["type"].rpartition(".")[2] for row in await connection.fetch(query, UUID(id_))]


async def job(api: httpx.AsyncClient, id_: str) -> dict[str, Any]:
    answer = await api.get(f"{JOBS}/{id_}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def wide(columns: int) -> bytes:
    """Return a small document that takes a while: each record has a column that no other has."""
    return json.dumps([{f"c{number}": number} for number in range(columns)]).encode()


@asynccontextmanager
async def relayed(house: House) -> AsyncIterator[None]:
    async with during(OutboxRelay(house.databases["documents"], "documents", house.bulk).run()):
        yield


@asynccontextmanager
async def process(house: House, directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run what converts and renders in a process of its own while the block lasts."""
    own = {"PATH": os.environ["PATH"], "HEADWATER_PORT": "0", "HEADWATER_DOCUMENTS_DIRECTORY": str(directory)}
    command = (sys.executable, "-m", "headwater", "run", "documents.conversion", "documents.rendering")
    process = await asyncio.create_subprocess_exec(
        *command, env=environment(house) | own, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@asynccontextmanager
async def opened(servers: Servers, directory: Path, **settings: Any) -> AsyncIterator[Desk]:
    more = {"documents_directory": directory, "documents_jobs_per_user": 5} | settings
    async with house_on_its_own_database(servers, **more) as (house, _):
        yield Desk(house, directory)


@pytest.fixture(scope="module")
async def desk(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    directory = tmp_path_factory.mktemp("blobs")
    async with (
        opened(servers, directory) as desk,
        running(desk.house, "documents", "realtime", "notifications", "identity"),
    ):
        yield desk


async def test_a_document_is_converted_and_its_result_downloaded(desk: Desk) -> None:
    api = desk.client()

    done = await desk.converted(api, json.dumps(ROWS).encode(), filename="Übersicht.json")
    result = await api.get(f"{JOBS}/{done['id']}/result")

    assert (done["status"], done["from"], done["to"], done["attempts"]) == ("converted", "json", "csv", 1)
    assert (done["result_bytes"], done["read_bytes"]) == (len(CSV), done["input_bytes"])
    assert done["report"]["losses"]["null_as_text"] == 1
    assert {"code": "null_as_text", "pointer": "/1/b"}.items() <= done["report"]["first"][-1].items()
    assert done["losses"] == sum(done["report"]["losses"].values())
    assert (result.status_code, result.content) == (200, CSV)
    assert result.headers["content-type"] == "text/csv; charset=utf-8"
    assert result.headers["x-content-type-options"] == "nosniff"
    named = "attachment; filename=\"_bersicht.csv\"; filename*=UTF-8''%C3%9Cbersicht.csv"
    assert result.headers["content-disposition"] == named
    assert result.headers["etag"] == f'"{done["result_sha256"]}"'


async def test_a_body_larger_than_others_may_be_is_taken_packed_or_not(desk: Desk) -> None:
    api = desk.client()
    content = json.dumps([{"t": os.urandom(500).hex()} for _ in range(3000)]).encode()

    plain = await desk.converted(api, content)
    headers = {"content-encoding": "gzip", "content-type": "application/json", "accept": "text/csv"}
    packed = (await api.post(JOBS, content=gzip.compress(content), headers=headers)).json()
    packed = await desk.over(api, packed["id"])

    assert (plain["status"], packed["status"], packed["from"], packed["to"]) == (
        "converted",
        "converted",
        "json",
        "csv",
    )
    assert plain["result_sha256"] == packed["result_sha256"]
    assert plain["input_bytes"] == len(content) > packed["input_bytes"]


async def test_who_would_rather_not_wait_has_the_same_job_begun(desk: Desk) -> None:
    api = desk.client()
    headers = {"prefer": "respond-async", "idempotency-key": "later", "content-type": "application/json"}

    answer = await api.post("/documents/convert", params={"to": "csv"}, content=json.dumps(ROWS), headers=headers)
    again = await desk.upload(api, json.dumps(ROWS).encode(), key="later")
    done = await desk.over(api, answer.json()["id"])

    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    assert answer.headers["location"] == f"/api/v1{JOBS}/{done['id']}"
    assert (answer.json()["status"], answer.json()["to"], again["id"]) == ("waiting", "csv", done["id"])
    assert (await api.get(f"{JOBS}/{done['id']}/result")).content == CSV


async def test_operators_see_everybodys_jobs_and_nobodys_results(desk: Desk) -> None:
    user = uuid4()
    api, operator = desk.client(user), desk.client(None, "operator")
    done, failed = await desk.converted(api, b"[]"), await desk.converted(api, b"[")

    async def listed(**query: str) -> list[str]:
        found = (await operator.get(f"{JOBS}/all", params={"user_id": str(user)} | query)).json()["data"]
        return [each["id"] for each in found if each["user_id"] == str(user)]

    await eventually(lambda: listed(status="failed"), until=lambda found: found == [failed["id"]])
    await eventually(lambda: listed(status="converted"), until=lambda found: found == [done["id"]])
    assert await listed() == [failed["id"], done["id"]]
    assert (await job(operator, failed["id"]))["code"] == "bad_json"
    assert told(await operator.get(f"{JOBS}/{done['id']}/result")) == (404, "conversion_not_found")
    assert told(await operator.post(f"{JOBS}/{done['id']}:cancel")) == (404, "conversion_not_found")
    everybody = (await operator.get(f"{JOBS}/all", params={"limit": 1})).json()
    more = await operator.get(f"{JOBS}/all", params={"limit": 1, "cursor": everybody["page"]["next_cursor"]})
    assert more.json()["data"][0]["id"] != everybody["data"][0]["id"]


async def test_the_report_names_every_changed_leaf_up_to_a_thousand(desk: Desk) -> None:
    api = desk.client()

    some, many = [await desk.converted(api, json.dumps([{"a": None}] * count).encode()) for count in (200, 3000)]

    assert [each["pointer"] for each in some["report"]["first"]] == [f"/{number}/a" for number in range(200)]
    assert some["report"]["losses"] == {"null_as_text": 200}
    assert (len(many["report"]["first"]), many["report"]["losses"]) == (1000, {"null_as_text": 3000})


async def test_a_download_goes_on_where_it_broke_off(desk: Desk) -> None:
    api = desk.client()
    done = await desk.converted(api, json.dumps(ROWS).encode())
    path, etag = f"{JOBS}/{done['id']}/result", f'"{done["result_sha256"]}"'

    head = await api.head(path)
    part = await api.get(path, headers={"range": "bytes=3-", "if-range": etag})
    other = await api.get(path, headers={"range": "bytes=3-", "if-range": '"other"'})
    behind = await api.get(path, headers={"range": f"bytes={len(CSV)}-"})
    same = await api.get(path, headers={"if-none-match": etag})

    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(CSV)))
    assert head.headers["accept-ranges"] == "bytes"
    assert (part.status_code, part.content) == (206, CSV[3:])
    assert part.headers["content-range"] == f"bytes 3-{len(CSV) - 1}/{len(CSV)}"
    assert (other.status_code, other.content) == (200, CSV)
    assert (*told(behind), behind.headers["content-range"]) == (416, "range_not_satisfiable", f"bytes */{len(CSV)}")
    assert (same.status_code, same.content) == (304, b"")


async def test_bad_input_fails_with_its_place_and_leaves_nothing(desk: Desk) -> None:
    api = desk.client()

    done = await desk.converted(api, b'[{"a": 1},\n {"a": }]')
    result = await api.get(f"{JOBS}/{done['id']}/result")

    assert (done["status"], done["code"], done["attempts"]) == ("failed", "bad_json", 1)
    assert done["error"]["place"]["line"] == 2
    assert told(result) == (409, "conversion_without_result")
    await desk.has_nothing_of(done["id"])


async def test_what_cannot_be_asked_is_refused_before_anything_is_stored(desk: Desk) -> None:
    api = desk.client()

    async def asked(**query: str) -> tuple[int, str]:
        return told(await api.post(JOBS, params=query, content=b"[]"))

    assert await asked(to="nothing") == (400, "unknown_format")
    assert await asked() == (400, "format_missing")
    assert await asked(to="csv", wrong="1") == (400, "unknown_option")
    assert await asked(to="csv", delimiter=";;") == (400, "bad_option")
    assert await asked(to="csv", output_charset="utf\r\n8") == (400, "bad_option")
    assert (await api.get(JOBS)).json()["data"] == []


async def test_the_same_key_is_the_same_job(desk: Desk) -> None:
    api = desk.client()

    first = await desk.upload(api, b"[]", key="one")
    again = await desk.upload(api, b"[]", key="one")
    other = await api.post(JOBS, params={"to": "xml"}, content=b"[]", headers={"idempotency-key": "one"})
    theirs = await desk.upload(desk.client(), b"[]", key="one")

    assert again["id"] == first["id"] != theirs["id"]
    assert told(other) == (422, "idempotency_mismatch")
    await desk.over(api, first["id"])
    assert (await desk.recorded(first["id"])).count("DocumentConverted") == 1


async def test_a_second_delivery_has_no_second_effect(desk: Desk) -> None:
    api, user = desk.client(), uuid4()
    done = await desk.converted(api, b"[]")
    before = await desk.recorded(done["id"])
    event = ConversionRequested(
        document_id=UUID(done["id"]),
        user_id=user,
        read="json",
        write="csv",
        options={},
        packing="identity",
        name=None,
        input_id=uuid4(),
        input_bytes=2,
        input_sha256=done["input_sha256"],
        requested_at=datetime.now(UTC),
    )

    await KafkaLog(desk.house.commands, desk.house.codec).publish(event)
    later = await desk.converted(api, b"[]")

    assert later["status"] == "converted"
    assert await desk.recorded(done["id"]) == before == ["ConversionRequested", "ConversionBegun", "DocumentConverted"]
    assert (await api.get(f"{JOBS}/{done['id']}/result")).status_code == 200


async def test_jobs_are_listed_for_their_owner_page_by_page(desk: Desk) -> None:
    api = desk.client()
    jobs = [await desk.converted(api, b"[]") for _ in range(3)]

    async def listed() -> list[str]:
        found, cursor = [], None
        while True:
            page = (await api.get(JOBS, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
            found += [each["id"] for each in page["data"] if each["status"] == "converted"]
            if not (cursor := page["page"]["next_cursor"]):
                return found

    assert await eventually(listed, until=lambda found: len(found) == 3) == [each["id"] for each in jobs[::-1]]
    stranger = desk.client()
    assert (await stranger.get(JOBS)).json()["data"] == []
    for ask in (stranger.get(f"{JOBS}/{jobs[0]['id']}"), stranger.get(f"{JOBS}/{jobs[0]['id']}/result")):
        assert told(await ask) == (404, "conversion_not_found")
    assert told(await stranger.delete(f"{JOBS}/{jobs[0]['id']}")) == (404, "conversion_not_found")


async def test_the_owner_sees_it_live_and_finds_a_notification(desk: Desk) -> None:
    user = uuid4()
    api, channel = desk.client(user), f"user:{user}"
    async with node(desk.house) as at, screen(at, desk.house, user) as screen_:
        await screen_.subscribe(channel)
        done = await desk.converted(api, b"[]")
        failed = await desk.converted(api, b"[")

        async def seen() -> set[tuple[str, str]]:
            updates = screen_.payloads(channel)
            return {(each["document_id"], each["status"]) for each in updates if each["type"] == "conversion"}

        expected = {(done["id"], "waiting"), (done["id"], "converted"), (failed["id"], "failed")}
        await eventually(seen, until=lambda found: expected <= found)

    async def inbox() -> set[tuple[str, str]]:
        entries = (await api.get("/notifications")).json()["data"]
        return {(each["kind"], each["document_id"]) for each in entries}

    wanted = {("conversion.done", done["id"]), ("conversion.failed", failed["id"])}
    assert await eventually(inbox, until=lambda found: len(found) >= 2) == wanted


async def test_what_runs_is_cancelled_and_what_is_over_is_not(desk: Desk) -> None:
    api = desk.client()
    slow = await desk.upload(api, wide(12_000))
    await eventually(lambda: job(api, slow["id"]), until=lambda found: found["status"] == "running")

    cancelled = await api.post(f"{JOBS}/{slow['id']}:cancel")
    again = await api.post(f"{JOBS}/{slow['id']}:cancel")
    result = await api.get(f"{JOBS}/{slow['id']}/result")

    async def left() -> list[Path]:
        return [path for path in desk.files if UUID(slow["id"]).hex in path.parts]

    assert (cancelled.json()["status"], again.status_code) == ("cancelled", 200)
    assert told(result) == (409, "conversion_without_result")
    await eventually(left, until=lambda files: not files)
    done = await desk.converted(api, b"[]")
    assert told(await api.post(f"{JOBS}/{done['id']}:cancel")) == (409, "conversion_over")


async def test_deleting_leaves_no_file_and_no_job(desk: Desk) -> None:
    api = desk.client()
    done = await desk.converted(api, b"[]")

    deleted = await api.delete(f"{JOBS}/{done['id']}")

    async def listed() -> list[Any]:
        return list((await api.get(JOBS)).json()["data"])

    assert deleted.status_code == 204
    assert told(await api.get(f"{JOBS}/{done['id']}")) == (404, "conversion_not_found")
    await desk.has_nothing_of(done["id"])
    await eventually(listed, until=lambda jobs: not jobs)


async def test_of_somebody_who_is_erased_nothing_is_left(desk: Desk) -> None:
    user = uuid4()
    api = desk.client(user)
    done = await desk.converted(api, b"[]")

    async def listed() -> list[Any]:
        return list((await api.get(JOBS)).json()["data"])

    await eventually(listed, until=lambda jobs: [each["status"] for each in jobs] == ["converted"])
    gone = UserErased(user_id=user, erased_by=user, erased_at=datetime.now(UTC))
    await KafkaLog(desk.house.commands, desk.house.codec).publish(gone)

    await eventually(listed, until=lambda jobs: not jobs)
    await desk.has_nothing_of(done["id"])


async def test_who_has_many_jobs_waiting_may_not_add_one(desk: Desk) -> None:
    api = desk.client()
    jobs = [await desk.upload(api, wide(12_000)) for _ in range(5)]
    assert told(await api.get(f"{JOBS}/{jobs[-1]['id']}/result")) == (409, "conversion_not_ready")

    async def refused() -> tuple[int, str]:
        answer = await api.post(JOBS, params={"to": "csv"}, content=b"[]")
        return answer.status_code, answer.json().get("code", "")

    assert await eventually(refused, until=lambda found: found[0] == 429) == (429, "too_many_conversions")
    for each in (await api.get(JOBS)).json()["data"]:
        assert (await api.delete(f"{JOBS}/{each['id']}")).status_code == 204


async def test_a_result_is_gone_after_its_time_with_its_file(desk: Desk) -> None:
    api = desk.client()
    done = await desk.converted(api, b"[]")
    ports = job_ports(desk.house, ToyConverter())

    later = datetime.now(UTC) + ports.terms.lifetime
    await tidy(replace(ports, now=lambda: later))

    assert told(await api.get(f"{JOBS}/{done['id']}/result")) == (410, "result_expired")
    assert (await job(api, done["id"]))["status"] == "expired"
    await desk.has_nothing_of(done["id"])
