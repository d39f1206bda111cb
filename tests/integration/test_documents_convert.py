"""Conversions over real HTTP: both ways at once, negotiated, limited, broken off so that nobody takes a part for the whole."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import brotli
import httpx
import pytest
from backports import zstd

from tests.integration.converters import CONVERT, LINE, Raw, a_web, busy, headers, none_busy
from tests.probes import eventually

RECORDS = b'[{"a": 1, "b": {"c": null}}, {"a": 2, "b": {"c": "x"}}]'
CSV = b"a,b.c\r\n1,\r\n2,x\r\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where results and workers put what does not fit into memory."""
    return tmp_path_factory.mktemp("spool")


@pytest.fixture(scope="module")
async def port(directory: Path) -> AsyncIterator[int]:
    own = {"documents_input_limit": 40 << 20, "documents_spool_directory": directory}
    async with a_web(documents_workers=4, documents_per_user=2, **own) as port:
        yield port


@pytest.fixture
async def api(port: int) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a new user, who has no idea of zstd."""
    own = {**headers(), "accept-encoding": "identity"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=own, timeout=60) as client:
        yield client


async def test_a_document_is_converted(api: httpx.AsyncClient) -> None:
    answer = await api.post(CONVERT, params={"from": "json", "to": "csv", "filename": "x/März.json"}, content=RECORDS)

    assert (answer.status_code, answer.content) == (200, CSV)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-length"] == str(len(CSV))
    assert answer.headers["content-disposition"] == "attachment; filename=\"M_rz.csv\"; filename*=UTF-8''M%C3%A4rz.csv"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert answer.headers["x-conversion-charset"] == "utf-8"


async def test_the_head_tells_what_was_lost(api: httpx.AsyncClient) -> None:
    answer = await api.post(CONVERT, params={"from": "json", "to": "csv"}, content=RECORDS)

    told = answer.headers["x-conversion-warnings"]
    assert told.startswith("count=")
    assert ", complete, " in told
    assert '"null_as_text";at="/0/b/c"' in told


@pytest.mark.parametrize(
    ("request_headers", "query", "kind"),
    [
        ({"content-type": "application/json", "accept": "text/csv"}, {}, "text/csv"),
        ({"content-type": "application/vnd.acme.orders+json", "accept": "image/png, text/csv;q=0.1"}, {}, "text/csv"),
        ({"content-type": "application/json", "accept": "text/csv;q=0.1, application/yaml"}, {}, "application/yaml"),
        ({"content-type": "application/json", "accept": "text/csv"}, {"to": "toml"}, "application/toml"),
        ({"content-type": "application/json", "accept": "*/*, application/xml;q=0"}, {"to": "csv"}, "text/csv"),
        ({"content-type": "application/xml"}, {"from": "json", "to": "csv"}, "text/csv"),
        ({"content-disposition": 'attachment; filename="a.json"'}, {"to": "csv"}, "text/csv"),
        ({"content-type": "application/octet-stream"}, {"to": "csv", "filename": "a.json"}, "text/csv"),
        ({}, {"to": "csv"}, "text/csv"),
    ],
)
async def test_the_formats_are_what_the_request_says_first(
    api: httpx.AsyncClient, request_headers: dict[str, str], query: dict[str, str], kind: str
) -> None:
    answer = await api.post(CONVERT, params=query, content=RECORDS, headers=request_headers)

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == kind


@pytest.mark.parametrize(
    ("request_headers", "query", "status", "code"),
    [
        ({}, {"from": "pdf", "to": "csv"}, 400, "unknown_format"),
        ({}, {"from": "json"}, 400, "format_missing"),
        ({}, {"from": "json", "to": "csv", "nothing": "x"}, 400, "unknown_option"),
        ({}, {"from": "json", "to": "csv", "quoting": "x"}, 400, "bad_option"),
        ({}, {"from": "json", "to": "csv", "output_charset": "a\r\nb"}, 400, "bad_option"),
        ({"content-type": "application/pdf"}, {"to": "csv"}, 415, "unsupported_media_type"),
        ({"content-encoding": "compress"}, {"from": "json", "to": "csv"}, 415, "unsupported_content_encoding"),
        ({"content-type": "application/json", "accept": "image/png"}, {}, 406, "not_acceptable"),
        ({"content-type": "application/json", "accept": "text/csv;q=0"}, {}, 406, "not_acceptable"),
        ({"content-type": "text/html"}, {"to": "csv"}, 415, "unsupported_media_type"),
        ({}, {"to": "csv", "from": "xml"}, 422, "bad_xml"),
        ({}, {"to": "csv", "from": "json", "charset": "x"}, 422, "unknown_charset"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    api: httpx.AsyncClient, request_headers: dict[str, str], query: dict[str, str], status: int, code: str
) -> None:
    answer = await api.post(CONVERT, params=query, content=RECORDS, headers=request_headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_document_that_looks_like_nothing_is_of_no_type_we_read(api: httpx.AsyncClient) -> None:
    answer = await api.post(CONVERT, params={"to": "csv"}, content=b"hello")

    assert (answer.status_code, answer.json()["code"]) == (415, "unknown_format")


async def test_an_error_before_the_first_byte_says_where(api: httpx.AsyncClient) -> None:
    answer = await api.post(CONVERT, params={"from": "json", "to": "csv"}, content=b'[{"a": 1},\n {"a": oops}]')

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["line"]) == (422, "bad_json", 2)
    assert {"column", "offset"} <= problem.keys()


async def test_nobody_converts_without_a_token(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as nobody:
        answer = await nobody.post(CONVERT, params={"from": "json", "to": "csv"}, content=RECORDS)

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("packing", "unpack"), [("zstd", zstd.decompress), ("gzip", gzip.decompress), ("br", brotli.decompress)]
)
async def test_packed_bodies_and_answers(
    api: httpx.AsyncClient, packing: str, unpack: Callable[[bytes], bytes]
) -> None:
    query = {"from": "json", "to": "csv"}
    own = {"content-encoding": "gzip", "accept-encoding": packing}

    async with api.stream("POST", CONVERT, params=query, content=gzip.compress(RECORDS), headers=own) as answer:
        body = b"".join([piece async for piece in answer.aiter_raw()])

    assert answer.headers["content-encoding"] == packing
    assert unpack(body) == CSV


async def test_the_head_tells_what_was_found_out(api: httpx.AsyncClient) -> None:
    answer = await api.post(
        CONVERT, params={"to": "json", "from": "csv", "dialect": "auto"}, content=b"a;b\n1;2\n3;4\n"
    )

    assert 'charset="utf-8"' in answer.headers["x-conversion-notes"]
    assert 'delimiter=";"' in answer.headers["x-conversion-notes"]


async def test_more_than_the_limit_is_refused_whether_it_was_said_or_not(api: httpx.AsyncClient) -> None:
    async def many() -> AsyncIterator[bytes]:
        for _ in range(41):
            yield LINE[:-1] + b" " * ((1 << 20) - len(LINE)) + b"\n"

    said = await api.post(CONVERT, params={"from": "ndjson", "to": "csv"}, content=b" " * (41 << 20))
    unsaid = await api.post(CONVERT, params={"from": "ndjson", "to": "xlsx", "columns": "a"}, content=many())

    assert (said.status_code, said.json()["code"]) == (413, "payload_too_large")
    assert (unsaid.status_code, unsaid.json()["code"]) == (413, "payload_too_large")


async def test_a_client_that_reads_only_when_it_has_sent_all_gets_all(api: httpx.AsyncClient, directory: Path) -> None:
    count = 8_000  # more than all buffers between us hold

    answer = await api.post(CONVERT, params={"from": "ndjson", "to": "json"}, content=LINE * count)

    assert len(answer.json()) == count
    assert answer.headers["x-conversion-warnings"] == "complete=?0"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert list(directory.iterdir()) == []


async def test_a_held_answer_tells_all_in_its_head(api: httpx.AsyncClient) -> None:
    query = {"from": "ndjson", "to": "json", "complete": "true"}

    answer = await api.post(CONVERT, params=query, content=LINE * 1_000)
    broken = await api.post(CONVERT, params=query, content=LINE * 1_000 + b"{")

    assert answer.headers["x-conversion-warnings"] == "count=0, complete"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert (broken.status_code, broken.json()["code"]) == (422, "bad_json")
    assert broken.json()["line"] == 1001


async def test_the_first_byte_comes_before_the_last_is_sent(port: int) -> None:
    raw = await Raw.to(port, "from=ndjson&to=csv&columns=a,text")
    for _ in range(400):
        await raw.send(LINE)

    head = await raw.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    await raw.send(b"")

    assert (await raw.reader.readuntil(b"\r\n0\r\n\r\n")).count(b"x") >= 400_000
    raw.writer.close()


async def test_an_answer_that_breaks_off_has_no_end(port: int) -> None:
    raw = await Raw.to(port, "from=ndjson&to=csv&columns=a,text")
    for _ in range(400):
        await raw.send(LINE)
    head = await raw.reader.readuntil(b"\r\n\r\n")
    await raw.send(b"oops\n")
    await raw.send(b"")

    rest = await raw.rest()
    raw.writer.close()

    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding: chunked" in head
    assert not rest.endswith(b"0\r\n\r\n")
    await eventually(none_busy)


async def test_who_asks_before_it_sends_is_told_to_go_on_or_not(port: int) -> None:
    on = await Raw.to(port, "from=json&to=csv", "expect: 100-continue")
    off = await Raw.to(port, "from=json&to=nothing", "expect: 100-continue")

    assert await on.reader.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert await off.reader.readline() == b"HTTP/1.1 400 Bad Request\r\n"

    assert await on.reader.readline() == b"\r\n"
    await on.send(RECORDS)
    await on.send(b"")
    assert await on.reader.readline() == b"HTTP/1.1 200 OK\r\n"
    on.writer.close()
    off.writer.close()


@pytest.mark.parametrize("when", ["while it sends", "while it reads"])
async def test_a_client_that_leaves_stops_its_worker(port: int, when: str) -> None:
    raw = await Raw.to(port, "from=ndjson&to=csv&columns=a,text")
    await raw.send(LINE * 10_000)

    async def one_busy() -> bool:
        return busy() == 1

    await eventually(one_busy)
    if when == "while it reads":
        await raw.send(b"")
        await raw.reader.readuntil(b"\r\n\r\n")
    raw.writer.transport.abort()

    await eventually(none_busy)


async def test_others_are_answered_while_a_worker_is_at_it_and_one_user_has_two(port: int) -> None:
    own = headers()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=own, timeout=60) as mine:

        async def endless(began: asyncio.Event) -> AsyncIterator[bytes]:
            while True:
                yield LINE * 100
                began.set()
                await asyncio.sleep(0)

        begun = [asyncio.Event(), asyncio.Event()]
        query = {"from": "ndjson", "to": "xlsx", "columns": "a"}
        running = [asyncio.create_task(mine.post(CONVERT, params=query, content=endless(each))) for each in begun]
        await asyncio.gather(*(each.wait() for each in begun))

        refused = await mine.post(CONVERT, params={"from": "json", "to": "csv"}, content=RECORDS)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers(), timeout=60) as other:
            formats = await other.get("/api/v1/documents/formats")
            converted = await other.post(CONVERT, params={"from": "json", "to": "csv"}, content=RECORDS)
        for each in running:
            each.cancel()
        await asyncio.wait(running)

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_conversions")
    assert "retry-after" in refused.headers
    assert formats.status_code == 200
    assert converted.status_code == 200
    await eventually(none_busy)


async def test_a_conversion_that_takes_too_long_is_a_problem() -> None:
    async with a_web(documents_timeout=0.3) as port:
        raw = await Raw.to(port, "from=json&to=csv")
        await raw.send(RECORDS[:10])

        head, _, body = (await raw.reader.readuntil(b"}")).partition(b"\r\n\r\n")
        raw.writer.close()

    assert head.startswith(b"HTTP/1.1 422")
    assert json.loads(body)["limit"] == "seconds"


async def test_formats_and_limits_are_told(api: httpx.AsyncClient) -> None:
    formats = (await api.get("/api/v1/documents/formats")).json()
    limits = (await api.get("/api/v1/documents/limits")).json()

    csv = next(each for each in formats["formats"] if each["name"] == "csv")
    assert csv["media_type"] == "text/csv"
    assert "delimiter" in csv["options"]
    assert "root" not in csv["options"]
    assert {"name": "toml", "description": "Version of TOML.", "values": ["1.0", "1.1"], "default": "1.0"} in formats[
        "options"
    ]
    assert limits["limits"]["input_bytes"] == 40 << 20
    assert limits["limits"]["memory_bytes"] == 1 << 30
    assert limits["conversions_per_user"] == 2
