"""Exports of real topics, read back by the libraries that others would use."""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import fastavro
import pyarrow.parquet
import pytest

from bounded_contexts.audit.adapters import export as exporting
from bounded_contexts.audit.adapters.export import Format, export
from bounded_contexts.audit.adapters.range_kafka import Selection
from headwater.wiring import House
from infra.kafka_log import KafkaLog
from infra.kafka_reader import KafkaReader
from shared_kernel.errors import Refused
from tests.contract.test_event_log import sent

TOPICS = ("messages", "conversations")


async def filled(house: House) -> list[str]:
    """Put messages on the topic, and one record that is none; return the texts."""
    log = KafkaLog(house.bulk, house.codec)
    bodies = [f"text {number}" for number in range(300)]
    await asyncio.gather(*(log.publish(sent(uuid4(), body)) for body in bodies))
    await house.bulk.send("messages", "k", b"no event", [])
    return bodies


def read(path: Path, format_: Format) -> list[dict[str, Any]]:
    match format_:
        case "jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        case "avro":
            with path.open("rb") as file:
                return list(fastavro.reader(file))  # type: ignore[arg-type]
        case "parquet":
            rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
            return [row | {"data": row["data"] and json.loads(row["data"])} for row in rows]


@pytest.mark.parametrize("format_", ["jsonl", "avro", "parquet"])
async def test_every_record_is_in_the_file(
    own_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: Format
) -> None:
    monkeypatch.setattr(exporting, "ROW_GROUP", 100)
    bodies = await filled(own_house)
    path, told = tmp_path / "out", []

    count = await export(
        KafkaReader(own_house.kafka),
        own_house.codec,
        TOPICS,
        Selection(),
        (path, format_),
        lambda topic, done, total: told.append((topic, done, total)),
    )

    rows = read(path, format_)
    assert count == len(rows) == 301
    assert sorted(row["data"]["body"] for row in rows if row.get("data")) == sorted(bodies)
    (odd,) = [row for row in rows if not row.get("data")]
    assert odd["value"] in (b"no event", "bm8gZXZlbnQ=")
    assert "schema" in odd["error"]
    assert told[0] == ("messages", 0, 301)
    assert ("messages", 301, 301) in told
    assert told[-1] == ("conversations", 0, 0)
    assert list(tmp_path.iterdir()) == [path]


async def test_only_the_time_asked_for(own_house: House, tmp_path: Path) -> None:
    await filled(own_house)
    middle = datetime.now(UTC)
    await asyncio.sleep(0.002)  # the broker's times are whole milliseconds
    await KafkaLog(own_house.bulk, own_house.codec).publish(sent(uuid4(), "after"))

    async def lines(selection: Selection) -> int:
        reader, to = KafkaReader(own_house.kafka), (tmp_path / "out", "jsonl")
        return await export(reader, own_house.codec, ["messages"], selection, to, lambda *_: None)  # type: ignore[arg-type]

    assert await lines(Selection(since=middle)) == 1
    assert await lines(Selection(until=middle)) == 301
    assert await lines(Selection(since=middle + timedelta(hours=1))) == 0


async def test_an_export_that_fails_leaves_what_was_there(own_house: House, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("before")

    with pytest.raises(Refused, match="unknown_topic"):
        await export(
            KafkaReader(own_house.kafka),
            own_house.codec,
            ["messages", "nowhere"],
            Selection(),
            (path, "jsonl"),
            lambda *_: None,
        )

    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


async def test_no_device_and_no_directory_is_replaced_or_made(own_house: House, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    for path in (pipe, tmp_path, tmp_path / "nowhere" / "out"):
        with pytest.raises(Refused, match="invalid_file"):
            await export(
                KafkaReader(own_house.kafka),
                own_house.codec,
                ["messages"],
                Selection(),
                (path, "jsonl"),
                lambda *_: None,
            )

    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
