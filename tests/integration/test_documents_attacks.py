"""Conversions over HTTP by those who mean harm: they are refused or cut off, others are served, and nothing is left behind."""

import asyncio
import gzip
import os
import signal
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import brotli
import httpx
import pytest
from backports import zstd

from infra.server import LimitedHttp
from tests.integration.converters import CONVERT, LINE, Raw, a_web, busy, headers, none_busy
from tests.probes import eventually

QUERY = {"from": "ndjson", "to": "json"}
WHOLE = (200, b'[{"a":1}]')
INFLATED = 16 << 20


@pytest.fixture(scope="module")
async def port(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    own = {"documents_input_limit": 40 << 20, "documents_spool_directory": tmp_path_factory.mktemp("spool")}
    async with a_web(documents_workers=3, documents_per_user=2, **own) as port:
        yield port


@pytest.fixture
async def api(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers(), timeout=60) as client:
        yield client


@pytest.fixture(autouse=True)
async def others_are_served(port: int) -> AsyncIterator[None]:
    """After whatever was done somebody else's document is converted, and no worker is left with another one."""
    yield
    await eventually(none_busy)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers(), timeout=60) as other:
        answer = await other.post(CONVERT, params=QUERY, content=b'{"a": 1}\n')
    assert (answer.status_code, answer.content) == WHOLE
    await eventually(none_busy)  # or the next test takes that worker for its own


@pytest.mark.parametrize(
    ("packing", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", lambda data: brotli.compress(data, quality=1)),
        ("zstd", zstd.compress),
    ],
)
async def test_what_swells_is_refused(api: httpx.AsyncClient, packing: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(b" " * INFLATED)

    once = await api.post(CONVERT, params=QUERY, content=bomb, headers={"content-encoding": packing})
    twice = await api.post(
        CONVERT, params=QUERY, content=gzip.compress(bomb), headers={"content-encoding": f"{packing}, gzip"}
    )

    assert (once.status_code, once.json()["limit"]) == (422, "inflation_ratio")
    assert (twice.status_code, twice.json()["code"]) == (415, "unsupported_content_encoding")


async def sent(port: int, *lines: str, body: bytes = b"", is_all: bool = True) -> bytes:
    """Send a request by hand, and no more if that is all, and return what is answered."""
    own = [f"POST {CONVERT}?from=ndjson&to=json HTTP/1.1", "host: x", *lines]
    own += [f"{name}: {value}" for name, value in headers().items()]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([*own, "", ""]).encode() + body)
    if is_all:
        writer.write_eof()
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("length", ["-1", "+5", "0x10", "1e3", "9" * 30, "5, 6", "9" * 5_000])
async def test_a_length_that_is_none_is_refused(port: int, length: str) -> None:
    answer = await sent(port, f"content-length: {length}", body=LINE)

    assert answer.partition(b"\r\n")[0].split()[1] in (b"400", b"413")


async def test_both_lengths_are_refused(port: int) -> None:
    answer = await sent(port, "content-length: 5", "transfer-encoding: chunked", body=b"0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_body_that_is_shorter_than_it_says_is_no_document(port: int) -> None:
    assert not (await sent(port, "content-length: 1000", body=b'{"a": 1}\n')).startswith(b"HTTP/1.1 200")


async def test_what_follows_a_body_is_no_part_of_it(port: int) -> None:
    body = b'{"a": 1}\n{"a": 2}\n'
    answer = await sent(port, "content-length: 9", "connection: close", body=body, is_all=False)

    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert rest.startswith(b'[{"a":1}]')
    assert b'"a":2' not in rest


async def test_a_body_that_drips_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LimitedHttp, "body_s", 0.3)
    raw = await Raw.to(port, "from=ndjson&to=json")

    async def drip() -> None:
        while True:
            await raw.send(b" ")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    answer = await raw.rest()
    dripping.cancel()
    await asyncio.wait([dripping])
    raw.writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "query",
    [
        {"path": "/a" * 15_000},
        {"columns": ",".join(f"c{number}" for number in range(5_000))},
        {"lists": "," * 15_000},
        {"types": "a:integer," * 3_000 + "a:integer"},
        {"charset": "a" * 30_000},
        {"null_text": "x" * 30_000},
        {f"option{number}": "" for number in range(3_000)},
        {"offset": "9" * 30_000},
        {"filename": "%0d%0a" * 5_000 + ".json"},
    ],
    ids=lambda query: next(iter(query)),
)
async def test_options_however_long_are_heeded_or_refused(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await api.post(CONVERT, params=QUERY | query, content=b'{"a": 1}\n')

    assert answer.status_code in (200, 400, 422, 431)
    assert len(answer.headers.get("content-disposition", "")) < 1_000
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "name", ["a\r\nset-cookie: b=1", 'a"; b="c', "a\0b", "\u202egpj.exe", "../../etc/passwd", "ü" * 5_000]
)
async def test_a_name_of_a_file_adds_nothing_to_the_head(api: httpx.AsyncClient, name: str) -> None:
    answer = await api.post(CONVERT, params=QUERY | {"filename": name}, content=b'{"a": 1}\n')

    told = answer.headers["content-disposition"]
    assert "set-cookie" not in answer.headers
    assert told.startswith('attachment; filename="')
    assert "/" not in told
    assert len(told) < 1_000


async def test_one_user_who_asks_for_much_at_once_gets_two_and_keeps_nobody_from_anything(
    port: int, api: httpx.AsyncClient
) -> None:
    own = api.headers["authorization"]
    mine = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"authorization": own}, timeout=60)
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield LINE * 50
            begun.set()
            await asyncio.sleep(0.01)

    async with mine:
        running = [asyncio.create_task(mine.post(CONVERT, params=QUERY, content=endless())) for _ in range(2)]
        await begun.wait()

        async def one_more() -> int:
            return (await mine.post(CONVERT, params=QUERY, content=b"{}")).status_code

        await eventually(one_more, until=lambda status: status == 429)
        answers = await asyncio.gather(*(one_more() for _ in range(20)))
        for each in running:
            each.cancel()
        await asyncio.wait(running)

    assert set(answers) == {429}


def children(process: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{process}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


@pytest.mark.parametrize("whom", ["the worker", "all that fork"])
async def test_a_killed_worker_takes_its_own_document_with_it(port: int, whom: str) -> None:
    raw = await Raw.to(port, "from=ndjson&to=xlsx&columns=a", "connection: close")
    await raw.send(LINE)

    async def one_busy() -> bool:
        return busy() == 1

    await eventually(one_busy)

    async def victims() -> list[int]:
        forking = [each for each in children(os.getpid()) if b"worker" in Path(f"/proc/{each}/cmdline").read_bytes()]
        return forking if whom == "all that fork" else [child for each in forking for child in children(each)]

    for each in await eventually(victims, until=bool):
        os.kill(each, signal.SIGKILL)
    answer = await raw.rest()
    raw.writer.close()

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"worker_died"' in answer
