"""What `make bench` measures still runs, on few records and without its peers, which this environment does not have."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from infra.postgres import Database
from tests.conftest import SECRET
from tests.load import converting
from tests.load.bench import table
from tests.load.benches import Line, at_least
from tests.load.converting_http import Watched
from tests.load.field import Field, Side, medians, prepared
from tests.load.posting import EMPTY, MESSAGES
from tests.load.reading import CACHED, PLAIN
from tests.load.side import Count, side
from tests.probes import during
from tests.registered import registered_once
from tests.servers import Servers

RECORDS = 3_000
READ = 300  # of them


READING = ("consuming.batches", "consuming.raw_loop", "consuming.lanes", "storing.once", "storing.copy")
RELAYING = ("relaying.relaying", "relaying.bare")  # several batches of theirs, or there is nothing left to time
CALLING = (
    *("producing.publishing", "producing.aiokafka", "appending.together", "appending.alone"),
    *("signing_in.verifying", "signing_in.bare_decoding", "signing_in.logins", "signing_in.bare_hashing"),
)


@pytest.fixture
async def field(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Field]:
    field = await prepared(servers, SECRET, turns=1)
    for name, value in field.environment.items():
        monkeypatch.setenv(name, value)
    with registered_once():
        yield field
    owner = Database(servers.database_url)
    async with owner.transaction() as connection:
        await connection.execute(sa.text("drop table messaging.bench"))
    await owner.close()


async def test_every_side_that_needs_no_framework_measures_something(field: Field) -> None:
    await side("records.fill")(records=RECORDS)
    figures = {name: await side(name)(wanted=READ) for name in READING}
    figures |= {name: await side(name)(wanted=RECORDS) for name in RELAYING}
    figures |= {name: await side(name)(seconds=0.1) for name in CALLING}
    async with field.serving(Side("posting.serve")) as port:
        figures |= {path: await side("posting.post")(port=port, path=path, seconds=0.2) for path in (MESSAGES, EMPTY)}
    async with field.serving(Side("reading.serve")) as port:
        figures |= {path: await side("reading.get")(port=port, path=path, seconds=0.2) for path in (CACHED, PLAIN)}

    assert {name: each for name, each in figures.items() if each["rate"] <= 0 or each.get("violations")} == {}


async def test_conversions_over_http_are_measured_beside_chat(field: Field, tmp_path: Path) -> None:
    source = str(converting.written(tmp_path, 2_000))
    async with field.serving(Side("converting_http.serve")) as port:
        watched = Watched(port)
        async with during(watched.watch()):
            converted, chat = await asyncio.gather(
                side("converting_http.convert")(port=port, source=source, read="json", write="csv"),
                side("converting_http.chat")(port=port, seconds=0.5),
            )
        processor_s = watched.cpu_s

    figures = {"rate": converted["rate"], "memory": watched.peak_mb, "processor_s": processor_s} | chat
    assert {name: each for name, each in figures.items() if each <= 0} == {}


@pytest.mark.parametrize("server", ["ours", "stock"])
async def test_every_socket_hears_what_the_load_client_publishes(server: str) -> None:
    here = Field(os.environ, turns=1)
    async with here.serving(Side(f"fanning_out.{server}")) as port:
        some = {"port": port, "clients": 20, "seconds": 0.2}
        figures = [
            await side("fanning_out.saturated")(**some, window=4),
            await side("fanning_out.paced")(**some, per_second=50),
        ]

    for each in figures:
        assert each["rate"] > 0
        assert (each["missing"], each["disorder"], each["lost_connections"]) == (0, 0, 0)


def test_conversions_are_measured(tmp_path: Path) -> None:
    few, many = (converting.written(tmp_path, count) for count in (2, 20))

    (figures,) = converting.compared(few, many, converting.PAIRS[0], [], turns=1)

    assert all(value > 0 for value in figures.values())
    assert len((tmp_path / "ours.csv").read_text().splitlines()) > 20


async def test_a_side_that_fails_is_told() -> None:
    with pytest.raises(RuntimeError, match="no_such_side"):
        await Field({}, turns=1).turn(Side("consuming.no_such_side"))


async def test_what_comes_before_the_clock_runs_does_not_count() -> None:
    count = Count(10)
    count.add(1)
    count.add(1_000)
    counting = asyncio.create_task(count.rates())
    await asyncio.sleep(0)
    assert not counting.done()
    count.add(10)
    assert (await counting)["rate"] > 0


def test_medians_and_goals() -> None:
    theirs = medians([{"rate": 3.0}, {"rate": 100.0}, {"rate": 2.0}])

    met = at_least(3, "reading", "a loop", {"rate": 9.0, "violations": 0}, theirs)
    out_of_order = at_least(3, "reading", "a loop", {"rate": 9.0, "violations": 1}, theirs)
    slow = at_least(3, "reading", "a loop", {"rate": 8.0}, theirs)
    late = Line("latency", "none", 30.0, None, 30.0, 25, met=False)

    assert [each.met for each in (met, out_of_order, slow)] == [True, False, False]
    assert table([met, slow, late]).row_count == 3
