"""Documents on the real servers: from the request to the file, its links, and what may come in between."""

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import docx
import httpx
import pytest
from jsonschema_rs import Draft202012Validator
from openpyxl import load_workbook

from bounded_contexts.documents.adapters.engines import rendering
from bounded_contexts.documents.adapters.engines.rendering import Rendering
from bounded_contexts.documents.adapters.http_assets import ASSETS_PATH
from bounded_contexts.documents.adapters.http_documents import content_path
from bounded_contexts.documents.adapters.http_templates import TEMPLATES_PATH, TYPES
from bounded_contexts.documents.application import discarding
from headwater.wiring_documents import document_ports
from infra.download_links import seal_link
from infra.kafka_log import KafkaLog
from schemas.documents.events import DocumentRequested
from schemas.identity.events import UserErased
from schemas.ordering.events import OrderConfirmed, OrderLine, OrderPlaced
from tests.integration.channels import screen
from tests.integration.conftest import running
from tests.integration.nodes import node
from tests.integration.test_conversion_jobs import JOBS, Desk, job, opened, process, relayed, told, wide
from tests.probes import eventually
from tests.servers import Servers
from tests.unit.memory_documents import ToyRenderer
from tests.unit.rendered import png
from tests.unit.templated import letter, texts
from tests.unit.test_rendering_fonts import UBUNTU, fonts, text_of
from tests.unit.test_rendering_letterheads import paper

PATH = "/documents"
OVER = ("rendered", "failed", "cancelled")
HELLO: dict[str, Any] = {"version": "1.0", "body": [{"type": "paragraph", "text": "Hello"}]}
WAIT = {"prefer": "wait=10"}


def pdf_of(document: Any) -> bytes:
    return b"".join(rendering.render(json.dumps(document).encode(), "pdf", Rendering()))


def slow(paragraphs: int) -> dict[str, Any]:
    """Return a document that takes a while."""
    return {"version": "1.0", "body": [{"type": "paragraph", "text": "word " * 500}] * paragraphs}


async def ask(api: httpx.AsyncClient, document: Any = HELLO, format_: str = "pdf", **headers: str) -> dict[str, Any]:
    """Ask for a document. Return it as it is answered."""
    answer = await api.post(PATH, json={"document": document, "format": format_, "filename": "Grüße"}, headers=headers)
    assert answer.status_code in (201, 202), answer.text
    assert answer.headers["location"] == f"/api/v1{PATH}/{answer.json()['id']}"
    return dict(answer.json())


async def found(api: httpx.AsyncClient, id_: str) -> dict[str, Any]:
    answer = await api.get(f"{PATH}/{id_}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def over(api: httpx.AsyncClient, id_: str) -> dict[str, Any]:
    """Return the document once it is over."""
    return await eventually(lambda: found(api, id_), until=lambda each: each["status"] in OVER)


async def made(api: httpx.AsyncClient, document: Any = HELLO, format_: str = "pdf", **headers: str) -> dict[str, Any]:
    return await over(api, (await ask(api, document, format_, **headers))["id"])


async def listed(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    return list((await api.get(PATH)).json()["data"])


def files_of(desk: Desk, id_: str) -> list[Path]:
    return [path for path in desk.files if UUID(id_).hex in path.parts]


@pytest.fixture(scope="module")
async def desk(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    directory = tmp_path_factory.mktemp("blobs")
    async with (
        opened(servers, directory, documents_renderings_per_user=5) as desk,
        running(desk.house, "documents", "realtime", "notifications", "identity", "messaging"),
    ):
        yield desk


async def test_a_document_is_rendered_and_downloaded_in_parts(desk: Desk) -> None:
    api = desk.client()

    done = await made(api)
    whole = await api.get(f"{PATH}/{done['id']}/content")
    etag = whole.headers["etag"]
    part = await api.get(f"{PATH}/{done['id']}/content", headers={"range": "bytes=5-9", "if-range": etag})
    same = await api.get(f"{PATH}/{done['id']}/content", headers={"if-none-match": etag})
    behind = await api.get(f"{PATH}/{done['id']}/content", headers={"range": "bytes=99999999-"})

    assert (done["status"], done["format"], done["filename"], done["attempts"]) == ("rendered", "pdf", "Grüße.pdf", 1)
    assert (done["pages"], done["warnings"], done["origin"]) == (1, 0, "request")
    assert (done["result"]["engine"], done["result"]["media_type"]) == ("reportlab", "application/pdf")
    assert done["content"] == content_path(UUID(done["id"]))
    assert (whole.status_code, whole.content) == (200, pdf_of(HELLO))
    assert whole.headers["content-type"] == "application/pdf"
    assert (
        whole.headers["content-disposition"]
        == "attachment; filename=\"Gr__e.pdf\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.pdf"
    )
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert etag == f'"{hashlib.sha256(whole.content).hexdigest()}"' == f'"{done["result"]["sha256"]}"'
    assert (part.status_code, part.content) == (206, whole.content[5:10])
    assert (same.status_code, same.content) == (304, b"")
    assert told(behind) == (416, "range_not_satisfiable")


async def test_who_prefers_to_wait_is_answered_when_it_is_there(desk: Desk) -> None:
    api = desk.client()

    for format_, engine in (("docx", "headwater"), ("xlsx", "xlsxwriter")):
        done = await api.post(PATH, json={"document": HELLO, "format": format_}, headers=WAIT)

        assert (done.status_code, done.headers["preference-applied"]) == (201, "wait")
        assert (done.json()["status"], done.json()["filename"]) == ("rendered", f"document.{format_}")
        assert done.json()["result"]["engine"] == engine
        assert (await api.get(f"{PATH}/{done.json()['id']}/content")).content[:4] == b"PK\x03\x04"


async def test_the_same_request_is_rendered_once_for_one_owner(desk: Desk) -> None:
    api, other = desk.client(), desk.client(uuid4())
    first = await made(api)
    await eventually(
        lambda: listed(api), until=lambda all_: first["id"] in [each["id"] for each in all_ if each["pages"]]
    )

    again, others = await made(api), await made(other)
    await api.delete(f"{PATH}/{first['id']}")
    content = await api.get(f"{PATH}/{again['id']}/content")

    assert [each["attempts"] for each in (first, again, others)] == [1, 0, 1]
    assert (again["result"], again["id"] != first["id"]) == (first["result"], True)
    assert content.content == pdf_of(HELLO)


async def test_who_asks_for_the_file_itself_is_answered_with_it(desk: Desk) -> None:
    api, body = desk.client(), {"document": HELLO, "format": "pdf", "filename": "a.pdf"}
    headers = {"accept": "application/pdf, application/json;q=0.5", "range": "bytes=0-3"}

    file = await api.post(PATH, json=body, headers=WAIT | headers)
    failed = await api.post(PATH, json=body | {"document": {}}, headers=WAIT | headers)

    assert (file.status_code, file.content) == (200, pdf_of(HELLO))
    assert file.headers["content-location"] == f"{file.headers['location']}/content"
    assert file.headers["content-disposition"] == 'attachment; filename="a.pdf"'
    assert (failed.status_code, failed.json()["code"]) == (201, "invalid_document")


async def test_what_is_wrong_is_told_with_every_place_and_nothing_is_left(desk: Desk) -> None:
    api = desk.client()
    wrong = HELLO | {"body": [{"type": "paragraph", "text": "x", "colour": 1}, {"type": "nothing"}]}

    failed = await made(api, wrong)
    content = await api.get(f"{PATH}/{failed['id']}/content")

    assert (failed["status"], failed["code"], failed["attempts"]) == ("failed", "invalid_document", 1)
    assert failed["error"]["place"] == {"pointer": "/body/0/colour"}
    assert [each["pointer"] for each in failed["error"]["problems"]] == ["/body/0/colour", "/body/1/type"]
    assert told(content) == (409, "document_without_file")
    await eventually(lambda: asyncio.sleep(0, files_of(desk, failed["id"])), until=lambda files: not files)


async def test_what_cannot_be_asked_is_refused_before_anything_is_stored(desk: Desk) -> None:
    api = desk.client()

    async def asked(content: bytes, path: str = PATH) -> tuple[int, str]:
        return told(await api.post(path, content=content, headers={"content-type": "application/json"}))

    assert await asked(b'{"document": {}, "format": "odt"}') == (422, "validation_failed")
    assert await asked(b'{"document": [], "format": "pdf"}') == (422, "validation_failed")
    assert await asked(b'{"format": "pdf"}') == (422, "validation_failed")
    assert await asked(b'{"document": {}, "format": "pdf", "more": 1}') == (422, "validation_failed")
    assert await asked(b'{"document": ' + b"[" * 100_000, f"{PATH}/validate") == (400, "bad_request")
    assert await asked(b'{"document": {}, "format": "pdf"}'.ljust((16 << 20) + 1)) == (413, "payload_too_large")
    assert await listed(api) == []


async def test_a_body_larger_than_others_may_be_is_taken(desk: Desk) -> None:
    api = desk.client()
    data = {"rows": ["x" * 1000] * 2000}

    done = await made(api, HELLO | {"data": data})

    assert (done["status"], done["input_bytes"] > 2_000_000) == ("rendered", True)


ROWS_FOLLOW: dict[str, Any] = {
    "version": "1.0",
    "assets": {"dot": {"stored": "dot-of-lines"}},
    "body": [
        {"type": "image", "asset": "dot", "alt": "dot"},
        {"type": "table", "columns": [{"value": {"path": "r.text"}}], "rows": {"$stream": "rows", "as": "r"}},
    ],
}


async def send_lines(
    api: httpx.AsyncClient, rows: Iterable[bytes], asked: dict[str, Any] | None = None, key: str = ""
) -> httpx.Response:
    """Ask for a document whose rows follow it, as they come."""

    async def pieces() -> AsyncIterator[bytes]:
        yield json.dumps(asked or {"document": ROWS_FOLLOW, "format": "docx"}).encode() + b"\n"
        for row in rows:
            yield row + b"\n"

    headers = {"content-type": "application/x-ndjson; charset=utf-8", **({"idempotency-key": key} if key else {})}
    return await api.post(PATH, content=pieces(), headers=headers, timeout=60)


async def test_rows_that_follow_are_taken_as_they_come_and_are_more_than_another_body_may_be(desk: Desk) -> None:
    api, image = desk.client(), png(2, 2)
    await keep(desk.client(None, "admin"), image, "dot-of-lines")
    rows = [json.dumps({"text": f"{number} " + "x" * 17_000}).encode() for number in range(1_000)]

    first = await send_lines(api, rows, key="lines")
    assert first.status_code == 202, first.text
    again = await send_lines(api, rows, key="lines")
    other = await send_lines(api, rows[1:], key="lines")
    done = await over(api, first.json()["id"])
    file = await api.get(f"{PATH}/{done['id']}/content")

    lines = b"\n".join([json.dumps(ROWS_FOLLOW).encode(), *rows])
    here = Rendering(assets={"dot-of-lines": image})
    assert again.json()["id"] == done["id"]
    assert told(other) == (422, "idempotency_mismatch")
    assert done["input_bytes"] > 17_000_000
    assert file.content == b"".join(rendering.render_lines(io.BytesIO(lines), "docx", here))
    assert len(files_of(desk, done["id"])) == 2  # instructions and file


async def test_a_row_that_is_wrong_is_told_with_its_place_in_the_request(desk: Desk) -> None:
    api = desk.client()
    document = {key: each for key, each in ROWS_FOLLOW.items() if key == "version"} | {"body": ROWS_FOLLOW["body"][1:]}
    asked = {"format": "pdf", "filename": "x", "document": document}

    bad = await send_lines(api, [b'{"text": 1}', b'{"text": [{"$date": "x"}]}'], asked)
    cut = await send_lines(api, [b'{"text": 1}', b'{"text"'], asked)
    none = await send_lines(api, [], {**asked, "document": {**document, "body": []}})

    failed, broken = await over(api, bad.json()["id"]), await over(api, cut.json()["id"])
    assert (failed["code"], failed["error"]["place"]) == ("bad_mark", {"line": 3, "pointer": "/text/0"})
    first = len(json.dumps(asked)) + 1
    assert broken["error"]["place"] == {"line": 3, "column": 8, "offset": first + 12 + 7}
    assert (await over(api, none.json()["id"]))["status"] == "rendered"


async def test_lines_that_cannot_be_asked_are_refused_before_anything_is_stored(desk: Desk) -> None:
    api = desk.client()

    assert told(await send_lines(api, [b"{}"], {"template": "t", "data": {}, "format": "pdf"})) == (
        422,
        "validation_failed",
    )
    assert told(await send_lines(api, [b"{}"], {"document": ROWS_FOLLOW})) == (422, "validation_failed")
    long = {"document": ROWS_FOLLOW | {"x-long": "x" * (1 << 20)}, "format": "pdf"}
    assert told(await send_lines(api, [b"{}"], long)) == (422, "limit_exceeded")
    validate = await api.post(f"{PATH}/validate", content=b"{}", headers={"content-type": "application/x-ndjson"})
    assert told(validate) == (415, "unsupported_media_type")
    assert await listed(api) == []


async def test_the_same_key_is_the_same_document(desk: Desk) -> None:
    api = desk.client()
    key = {"idempotency-key": "one"}

    first = await ask(api, **key)
    again = await ask(api, **key)
    other = await api.post(PATH, json={"document": HELLO, "format": "docx"}, headers=key)
    theirs = await ask(desk.client(), **key)

    assert again["id"] == first["id"] != theirs["id"]
    assert told(other) == (422, "idempotency_mismatch")
    assert (await over(api, first["id"]))["status"] == "rendered"
    assert (await desk.recorded(first["id"])).count("DocumentRendered") == 1


async def test_a_replay_gives_the_same_bytes_and_no_second_effect(desk: Desk) -> None:
    api = desk.client()
    done = await made(api)
    before, whole = await desk.recorded(done["id"]), (await api.get(done["content"].removeprefix("/api/v1"))).content
    instructions, file = sorted(files_of(desk, done["id"]), key=lambda path: path.read_bytes() == whole)
    file.unlink()
    lost = await api.get(f"{PATH}/{done['id']}/content")
    event = DocumentRequested(
        document_id=UUID(done["id"]),
        user_id=uuid4(),
        target="pdf",
        name=None,
        origin="request",
        source_id=None,
        input_id=UUID(hex=instructions.name),
        input_bytes=done["input_bytes"],
        input_sha256=done["input_sha256"],
        lifetime_seconds=1,
        requested_at=datetime.now(UTC),
    )

    await KafkaLog(desk.house.commands, desk.house.codec).publish(event)
    await eventually(lambda: asyncio.sleep(0, file.exists()), until=bool)

    assert told(lost) == (404, "blob_not_found")
    assert (await api.get(f"{PATH}/{done['id']}/content")).content == whole
    assert await desk.recorded(done["id"]) == before == ["DocumentRequested", "RenderingBegun", "DocumentRendered"]


async def test_documents_are_listed_for_their_owner_alone(desk: Desk) -> None:
    api, stranger = desk.client(), desk.client()
    ids = [(await made(api))["id"] for _ in range(3)]

    async def both_pages() -> list[str]:
        first = (await api.get(PATH, params={"limit": 2})).json()
        cursor = first["page"]["next_cursor"]
        second = (await api.get(PATH, params={"limit": 2, "cursor": cursor})).json() if cursor else {"data": []}
        return [each["id"] for each in (*first["data"], *second["data"]) if each["status"] == "rendered"]

    assert await eventually(both_pages, until=lambda each: len(each) == 3) == ids[::-1]
    assert await listed(stranger) == []
    for path in (ids[0], f"{ids[0]}/content"):
        assert told(await stranger.get(f"{PATH}/{path}")) == (404, "document_not_found")
    assert told(await stranger.delete(f"{PATH}/{ids[0]}")) == (404, "document_not_found")
    assert told(await stranger.post(f"{PATH}/{ids[0]}/links")) == (404, "document_not_found")
    conversion = await desk.converted(api, b"[]")
    assert told(await api.get(f"{PATH}/{conversion['id']}")) == (404, "document_not_found")
    assert told(await api.get(f"{PATH}/conversions/{ids[0]}")) == (404, "conversion_not_found")


async def test_a_link_opens_one_file_for_a_while_to_whoever_has_it(desk: Desk) -> None:
    api = desk.client()
    one, other = await made(api), await made(api)
    nobody = httpx.AsyncClient(transport=httpx.ASGITransport(desk.app), base_url="http://test")
    tokens, path = desk.house.opaque_tokens, content_path(UUID(one["id"]))

    link = (await api.post(f"{PATH}/{one['id']}/links", params={"seconds": 60})).json()
    past = seal_link(tokens, path, datetime.now(UTC) - timedelta(seconds=1))
    token = link["link"].partition("=")[2]
    opened_ = await nobody.get(link["link"], headers={"range": "bytes=0-3"})

    assert (opened_.status_code, opened_.content) == (206, b"%PDF")
    assert link["link"].startswith(f"{path}?link=")
    assert datetime.fromisoformat(link["expires_at"]) <= datetime.now(UTC) + timedelta(seconds=60)
    assert told(await nobody.get(path)) == (401, "unauthenticated")
    assert told(await nobody.get(past)) == (410, "link_expired")
    assert told(await nobody.get(f"{content_path(UUID(other['id']))}?link={token}")) == (422, "invalid_link")
    for forged in (f"{token[:-1]}{'A' if token[-1] != 'A' else 'B'}", "", "x", token[:20], f"{token}=", f" {token}"):
        assert told(await nobody.get(path, params={"link": forged})) == (422, "invalid_link")
    assert (await api.post(f"{PATH}/{one['id']}/links", params={"seconds": 86_401})).status_code == 422
    await api.delete(f"{PATH}/{one['id']}")
    assert told(await nobody.get(link["link"])) == (404, "document_not_found")


async def test_what_is_rendered_is_cancelled_and_what_is_over_is_not(desk: Desk) -> None:
    api = desk.client()
    id_ = (await ask(api, slow(4_000)))["id"]
    await eventually(lambda: found(api, id_), until=lambda each: each["status"] == "running")

    cancelled = await api.post(f"{PATH}/{id_}:cancel")
    again = await api.post(f"{PATH}/{id_}:cancel")

    assert (cancelled.json()["status"], again.status_code) == ("cancelled", 200)
    await eventually(lambda: asyncio.sleep(0, files_of(desk, id_)), until=lambda files: not files)
    done = await made(api)
    assert told(await api.post(f"{PATH}/{done['id']}:cancel")) == (409, "document_over")


async def test_deleted_or_expired_or_erased_nothing_is_left(desk: Desk) -> None:
    user = uuid4()
    api = desk.client(user)
    deleted, expired, erased = [await made(api) for _ in range(3)]
    ports = document_ports(desk.house, ToyRenderer())
    await eventually(lambda: listed(api), until=lambda all_: {each["status"] for each in all_} == {"rendered"})

    link = (await api.post(f"{PATH}/{erased['id']}/links")).json()["link"]
    nobody = httpx.AsyncClient(transport=httpx.ASGITransport(desk.app), base_url="http://test")

    assert (await nobody.get(link)).status_code == 200
    assert (await api.delete(f"{PATH}/{deleted['id']}")).status_code == 204
    later = datetime.now(UTC) + ports.terms.lifetime
    await discarding.expire(replace(ports, now=lambda: later))

    assert told(await api.get(f"{PATH}/{deleted['id']}")) == (404, "document_not_found")
    assert told(await api.get(f"{PATH}/{expired['id']}/content")) == (410, "document_expired")
    gone = UserErased(user_id=user, erased_by=user, erased_at=datetime.now(UTC))
    await KafkaLog(desk.house.commands, desk.house.codec).publish(gone)
    await eventually(lambda: listed(api), until=lambda all_: not all_)
    assert [files_of(desk, each["id"]) for each in (deleted, expired, erased)] == [[], [], []]
    assert (await nobody.get(link)).status_code == 404


async def test_sweeping_goes_by_the_list_and_by_the_events(desk: Desk) -> None:
    api = desk.client()
    done = await made(api)
    await eventually(lambda: listed(api), until=lambda all_: [each["status"] for each in all_] == ["rendered"])
    stray = files_of(desk, done["id"])[0].with_name(uuid4().hex)
    stray.write_bytes(b"left")
    ports = document_ports(desk.house, ToyRenderer())

    later = datetime.now(UTC) + discarding.GRACE + timedelta(minutes=1)
    await discarding.sweep(replace(ports, now=lambda: later))

    assert not stray.exists()
    assert len(files_of(desk, done["id"])) == 2


async def test_who_has_many_waiting_may_not_add_one(desk: Desk) -> None:
    api = desk.client()
    for _ in range(5):
        await ask(api, slow(4_000))

    async def refused() -> tuple[int, str]:
        answer = await api.post(PATH, json={"document": HELLO, "format": "pdf"})
        return answer.status_code, answer.json().get("code", "")

    assert await eventually(refused, until=lambda each: each[0] == 429) == (429, "too_many_documents")
    for each in await listed(api):
        assert (await api.delete(f"{PATH}/{each['id']}")).status_code == 204


async def test_validating_and_showing_keep_nothing(desk: Desk) -> None:
    api = desk.client()
    wrong = HELLO | {"body": [{"type": "nothing"}]}

    fine = (await api.post(f"{PATH}/validate", json={"document": HELLO})).json()
    bad = (await api.post(f"{PATH}/validate", json={"document": wrong, "formats": ["pdf"]})).json()
    shown = await api.post(f"{PATH}/preview", json={"document": HELLO}, params={"width": 200})
    beyond = await api.post(f"{PATH}/preview", json={"document": HELLO}, params={"page": 2})
    refused = await api.post(f"{PATH}/preview", json={"document": wrong})
    schema = (await api.get(f"{PATH}/schemas/document/1.0")).json()

    assert (fine["valid"], fine["pages"], set(fine["formats"])) == (True, 1, {"pdf", "docx", "xlsx"})
    assert (bad["valid"], [each["pointer"] for each in bad["problems"]]) == (False, ["/body/0/type"])
    assert (shown.headers["content-type"], shown.headers["x-page-count"]) == ("image/png", "1")
    assert shown.content.startswith(b"\x89PNG")
    assert told(beyond) == (404, "page_not_found")
    assert told(refused) == (422, "invalid_document")
    assert refused.json()["problems"][0]["pointer"] == "/body/0/type"
    assert Draft202012Validator(schema).is_valid(HELLO)
    assert await listed(api) == []


async def test_the_owner_sees_it_live_and_finds_a_notification_with_a_link(desk: Desk) -> None:
    user = uuid4()
    api, channel = desk.client(user), f"user:{user}"
    async with node(desk.house) as at, screen(at, desk.house, user) as screen_:
        await screen_.subscribe(channel)
        done, failed = await made(api), await made(api, {})

        async def seen() -> set[tuple[str, str, str | None]]:
            updates = [each for each in screen_.payloads(channel) if each["type"] == "document"]
            return {(each["document_id"], each["status"], each.get("content")) for each in updates}

        expected = {
            (done["id"], "waiting", None),
            (done["id"], "rendered", done["content"]),
            (failed["id"], "failed", None),
        }
        await eventually(seen, until=lambda shown: expected <= shown)

    inbox = await inbox_of(api, 2)
    told_ = {each["document_id"]: (each["kind"], each["preview"]) for each in inbox}
    (link,) = [each["download"] for each in inbox if each["download"]]
    nobody = httpx.AsyncClient(transport=httpx.ASGITransport(desk.app), base_url="http://test")

    assert told_ == {
        done["id"]: ("document.rendered", "Grüße.pdf is ready"),
        failed["id"]: ("document.failed", "Grüße.pdf could not be made: invalid_document"),
    }
    assert link.startswith(f"{done['content']}?link=")
    assert (await nobody.get(link)).content == pdf_of(HELLO)


async def inbox_of(api: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    async def entries() -> list[dict[str, Any]]:
        return list((await api.get("/notifications")).json()["data"])

    return await eventually(entries, until=lambda each: len(each) >= count)


async def test_the_buyer_of_a_confirmed_order_is_sent_one_invoice(desk: Desk) -> None:
    buyer, order = uuid4(), uuid4()
    api, log = desk.client(buyer), KafkaLog(desk.house.commands, desk.house.codec)
    now, line = datetime.now(UTC), OrderLine(sku="tea-100", quantity=2, unit_price_minor=450)
    placed = OrderPlaced(order_id=order, buyer_id=buyer, lines=(line,), total_minor=900, currency="EUR", placed_at=now)
    confirmed = OrderConfirmed(
        order_id=order, buyer_id=buyer, total_minor=900, currency="EUR", payment_id=uuid4(), confirmed_at=now
    )

    for event in (placed, confirmed, confirmed, placed, confirmed):
        await log.publish(event)
    inbox = [each for each in await inbox_of(api, 2) if each["document_id"]]

    assert [(each["kind"], each["preview"]) for each in inbox] == [
        ("document.rendered", "The invoice of your order is ready")
    ]
    invoice = await found(api, inbox[0]["document_id"])
    assert (invoice["origin"], invoice["source_id"], invoice["pages"]) == ("order", str(order), 1)
    assert (await desk.recorded(invoice["id"])).count("DocumentRequested") == 1
    assert (await api.get(inbox[0]["download"].removeprefix("/api/v1"))).content.startswith(b"%PDF")
    async with desk.house.databases["documents"].driver() as connection:
        assert await connection.fetchval("select count(*) from documents.placed_order") == 0


async def test_members_export_their_conversation_and_nobody_else_does(desk: Desk) -> None:
    ann, bob = uuid4(), uuid4()
    api = desk.client(ann)
    opened_ = await api.put("/conversations/direct", json={"participant_ids": [str(bob)]})
    conversation = opened_.json()["id"]
    for text in ("Hello {{you}}", "=1+1"):
        body = {"body": text, "client_id": text}
        sent = await api.post(f"/conversations/{conversation}/messages", json=body, headers={"prefer": "wait=10"})
        assert sent.status_code in (200, 201), sent.text
    path = f"{PATH}/exports/conversations/{conversation}"

    done = await api.post(path, params={"format": "xlsx"}, headers=WAIT)
    refused = await desk.client().post(path)

    assert (done.status_code, done.json()["origin"], done.json()["source_id"]) == (201, "conversation", conversation)
    content = (await api.get(f"{PATH}/{done.json()['id']}/content")).content
    texts = [cell.value for row in load_workbook(io.BytesIO(content))["Messages"].iter_rows() for cell in row]
    assert {"Hello {{you}}", "=1+1"} <= {*texts}
    assert told(refused) == (404, "conversation_not_found")


async def test_a_killed_process_costs_attempts_and_what_it_was_at_is_done_once(
    servers: Servers, tmp_path: Path
) -> None:
    async with opened(servers, tmp_path) as desk, relayed(desk.house):
        api = desk.client()

        async def both() -> set[str]:
            return {(await found(api, id_))["status"], (await job(api, conversion))["status"]}

        async with process(desk.house, tmp_path) as first:
            id_ = (await ask(api, slow(600)))["id"]
            conversion = (await desk.upload(api, wide(3_000)))["id"]
            await eventually(both, until=lambda statuses: statuses == {"running"})
            first.kill()
            await first.wait()
        assert await both() == {"running"}
        async with process(desk.house, tmp_path):
            done, converted = await over(api, id_), await desk.over(api, conversion)

        assert (done["status"], done["attempts"]) == ("rendered", 2)
        recorded = await desk.recorded(id_)
        assert recorded == ["DocumentRequested", "RenderingBegun", "RenderingBegun", "DocumentRendered"]
        assert (await api.get(f"{PATH}/{id_}/content")).content == pdf_of(slow(600))
        assert (converted["status"], converted["attempts"]) == ("converted", 2)
        recorded = await desk.recorded(conversion)
        assert recorded == ["ConversionRequested", "ConversionBegun", "ConversionBegun", "DocumentConverted"]
        assert (await api.get(f"{JOBS}/{conversion}/result")).status_code == 200


async def put(
    api: httpx.AsyncClient, content: bytes, name: str = "letter", kind: str = TYPES["docx"]
) -> httpx.Response:
    return await api.post(TEMPLATES_PATH, params={"name": name}, content=content, headers={"content-type": kind})


async def test_templates_have_versions_that_say_what_they_need(desk: Desk) -> None:
    api, staff = desk.client(), desk.client(None, "staff")

    old = letter("{{name}}")
    first, again = await put(staff, old), await put(staff, old)
    second = await put(staff, letter("Dear {{name}} {{n | number}}"))
    json_ = await put(staff, json.dumps({**HELLO, "body": []}).encode(), "form", TYPES["json"])

    async def newest() -> list[str]:
        return [each["reference"] for each in (await api.get(TEMPLATES_PATH)).json()["data"]]

    listed_ = await eventually(newest, until=lambda each: "form@1" in each and "letter@2" in each)
    versions = (await api.get(f"{TEMPLATES_PATH}/letter/versions")).json()["data"]
    needs = (await api.get(f"{TEMPLATES_PATH}/letter@2/variables")).json()["data"]
    file = await staff.get(f"{TEMPLATES_PATH}/letter@1/content")

    assert [each.status_code for each in (first, again, second, json_)] == [201] * 4
    assert told(await put(staff, old, "letter", TYPES["xlsx"])) == (422, "bad_template")
    assert [each.json()["reference"] for each in (first, again, second)] == ["letter@1", "letter@1", "letter@2"]
    assert first.headers["location"] == f"/api/v1{TEMPLATES_PATH}/letter@1"
    assert listed_ == ["form@1", "letter@2"]
    assert [each["kind"] for each in (json_.json(), *versions)] == ["json", "docx", "docx"]
    assert [each["version"] for each in versions] == [1, 2]
    assert [(each["path"], each["type"]) for each in needs] == [("name", "text"), ("n", "number")]
    assert second.json()["variables"] == needs
    assert (file.content, file.headers["content-type"]) == (old, TYPES["docx"])
    assert told(await put(api, letter("x"))) == (403, "forbidden")
    assert told(await put(staff, letter("{{#each x}}"))) == (422, "bad_template")
    assert told(await put(staff, b"{}", "form", TYPES["json"])) == (422, "invalid_document")
    assert told(await put(staff, b"{}", "Form")) == (422, "validation_failed")
    assert told(await put(staff, b"x", "form", "text/plain")) == (415, "unsupported_media_type")


async def test_a_document_is_made_of_a_template_also_after_that_is_gone(desk: Desk) -> None:
    api, staff = desk.client(), desk.client(None, "admin")
    await put(staff, letter("Dear {{name}}", "{{n | number(1)}}"), "passing")
    asked = {"template": "passing@1", "data": {"name": "Ann", "n": 1.5}, "format": "docx", "locale": "de"}

    done = await over(api, (await api.post(PATH, json=asked)).json()["id"])
    file = (await api.get(f"{PATH}/{done['id']}/content")).content
    wrong = await api.post(PATH, json=asked | {"format": "pdf"})
    both = await api.post(PATH, json=asked | {"document": HELLO})
    removed = await staff.delete(f"{TEMPLATES_PATH}/passing")
    gone = await api.post(PATH, json=asked)
    again = (await api.get(f"{PATH}/{done['id']}/content")).content

    assert (done["status"], done["result"]["engine"]) == ("rendered", "headwater"), done
    assert texts(docx.Document(io.BytesIO(file))) == ["Dear Ann", "1,5"]
    assert again == file
    assert told(wrong) == (422, "wrong_target")
    assert told(both) == (422, "validation_failed")
    assert removed.status_code == 204
    assert told(gone) == (404, "template_not_found")


def using(**stored: str) -> dict[str, Any]:
    """Return a document that shows stored images."""
    images = [{"type": "image", "asset": name, "alt": name} for name in stored]
    return {"version": "1.0", "assets": {name: {"stored": each} for name, each in stored.items()}, "body": images}


async def keep(api: httpx.AsyncClient, content: bytes, name: str, kind: str = "image/png") -> httpx.Response:
    return await api.post(ASSETS_PATH, params={"name": name}, content=content, headers={"content-type": kind})


async def test_assets_have_versions_and_are_looked_through(desk: Desk) -> None:
    api, staff = desk.client(), desk.client(None, "staff")

    first, again, second = [await keep(staff, png(width, 2), "seal") for width in (1, 1, 3)]

    async def newest() -> list[str]:
        return [each["reference"] for each in (await api.get(ASSETS_PATH)).json()["data"]]

    await eventually(newest, until=lambda each: "seal@2" in each)
    versions = (await api.get(f"{ASSETS_PATH}/seal/versions")).json()["data"]
    file = await staff.get(f"{ASSETS_PATH}/seal@1/content")

    assert [each.status_code for each in (first, again, second)] == [201, 201, 201]
    assert first.json() == again.json()
    assert (second.json()["reference"], second.json()["facts"]) == ("seal@2", {"width": 3, "height": 2})
    assert second.headers["location"] == f"/api/v1{ASSETS_PATH}/seal@2"
    assert [(each["version"], each["kind"]) for each in versions] == [(1, "image"), (2, "image")]
    assert (await api.get(f"{ASSETS_PATH}/seal")).json() == versions[1]
    assert (file.content, file.headers["content-type"]) == (png(1, 2), "image/png")
    assert told(await keep(api, png(1, 1), "seal")) == (403, "forbidden")
    assert told(await api.get(f"{ASSETS_PATH}/seal/content")) == (403, "forbidden")
    assert told(await keep(staff, b"no", "seal")) == (422, "bad_image")
    assert told(await keep(staff, png(1, 1), "seal", "image/jpeg")) == (422, "bad_image")
    for name in ("Seal", "a/b", "../a", ""):
        assert told(await keep(staff, png(1, 1), name)) == (422, "validation_failed")
    assert told(await keep(staff, b"x", "seal", "text/html")) == (415, "unsupported_media_type")
    assert told(await api.get(f"{ASSETS_PATH}/none")) == (404, "asset_not_found")


async def test_stored_fonts_and_letterheads_are_in_the_files_of_both_engines(desk: Desk) -> None:
    api, staff = desk.client(), desk.client(None, "staff")
    stored = await keep(staff, UBUNTU, "ubuntu", "font/ttf")
    await keep(staff, paper("ACME"), "paper", "application/pdf")
    used = {"text": {"stored": "ubuntu@1"}, "paper": {"stored": "paper"}}
    own = {"assets": used, "fonts": [{"family": "House", "asset": "text"}], "letterhead": {"asset": "paper"}}
    plain = {**HELLO, **own, "styles": {"base": {"font": "House"}}}

    files = []
    for document in (plain, plain | {"output": {"pdf": {"tagged": True}}}):
        done = await made(api, document)
        files.append((await api.get(f"{PATH}/{done['id']}/content")).content)

    assert (stored.status_code, stored.json()["kind"], stored.json()["facts"]["family"]) == (201, "font", "Ubuntu")
    assert [any("Ubuntu" in name for name in fonts(file)) for file in files] == [True, True]
    assert [text_of(file).split() for file in files] == [["ACME", "Hello"]] * 2
    assert told(await keep(staff, b"%PDF-1.7", "paper", "application/pdf")) == (422, "bad_pdf")
    assert told(await keep(staff, UBUNTU[:1_000], "ubuntu", "font/ttf")) == (422, "bad_font")


async def test_a_document_has_its_assets_as_they_were_when_it_was_asked_for(desk: Desk) -> None:
    api, staff = desk.client(), desk.client(None, "admin")
    await keep(staff, png(30, 20), "crest")
    await put(staff, json.dumps(using(a="crest")).encode(), "crested", TYPES["json"])

    done = await made(api, using(a="crest"))
    file = (await api.get(f"{PATH}/{done['id']}/content")).content
    await keep(staff, png(10, 20), "crest")
    other = await made(api, using(a="crest"))
    of_template = await over(api, (await api.post(PATH, json={"template": "crested", "format": "pdf"})).json()["id"])
    assert (await staff.delete(f"{ASSETS_PATH}/crest")).status_code == 204
    found = (await api.post(f"{PATH}/validate", json={"document": using(a="crest"), "formats": ["pdf"]})).json()
    gone = await made(api, using(a="crest@1"))

    assert file == b"".join(
        rendering.render(json.dumps(using(a="crest")).encode(), "pdf", Rendering(assets={"crest": png(30, 20)}))
    )
    assert (await api.get(f"{PATH}/{done['id']}/content")).content == file
    assert other["result"]["sha256"] == of_template["result"]["sha256"] != done["result"]["sha256"]
    assert [(each["pointer"], each["code"]) for each in found["problems"]] == [("/assets/a/stored", "unknown_asset")]
    assert (gone["status"], gone["code"]) == ("failed", "invalid_document")
