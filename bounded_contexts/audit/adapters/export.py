"""Write topics into one file: JSON lines, an Avro container or Parquet, all of the same records."""

import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from fastavro import parse_schema
from fastavro.write import Writer

from bounded_contexts.audit.adapters.range_kafka import Selection, TopicRange, open_range
from bounded_contexts.audit.adapters.records import described, line
from infra.avro import Codec, schema_text
from infra.kafka_reader import KafkaReader
from shared_kernel.errors import Refused
from shared_kernel.events import Event

Format = Literal["jsonl", "avro", "parquet"]
Progress = Callable[[str, int, int], object]  # topic, offsets behind, offsets in all
ROW_GROUP = 10_000  # rows of a Parquet file that are held in memory before they are written


class Writing(Protocol):
    def write(self, record: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


async def export(
    reader: KafkaReader,
    codec: Codec,
    topics: Sequence[str],
    selection: Selection,
    to: tuple[Path, Format],
    progress: Progress,
) -> int:
    """Write the selected records of the topics, one topic after the other, and return how many.

    The file is there when all of it is. Raise `Refused` for a topic or format that is not there, `Unavailable`."""
    path, format_ = to
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise Refused("invalid_file", f"{path} is no file in a directory that is there")
    count = 0
    with _whole(path) as file:
        writing = _writer(file, format_, [event for event in codec.events if event.TOPIC in topics])
        for topic in topics:
            async with open_range(reader, topic, selection) as range_:
                progress(topic, 0, range_.total)
                async for records in _described(range_, codec):
                    for record in records:
                        writing.write(record)
                    count += len(records)
                    progress(topic, range_.done, range_.total)
                progress(topic, range_.total, range_.total)
        writing.close()
    return count


async def _described(range_: TopicRange, codec: Codec) -> AsyncIterator[list[dict[str, Any]]]:
    async for batch in range_.batches(codec):
        yield [described(raw, range_.opened, codec) for raw in batch]


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """Lend a file beside `path` that takes its name at the end, or goes."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise


def _writer(file: IO[bytes], format_: Format, events: Sequence[type[Event]]) -> Writing:
    match format_:
        case "jsonl":
            return _Lines(file)
        case "avro":
            return _Avro(file, events)
        case "parquet":
            return _Parquet(file)


class _Lines:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, record: dict[str, Any]) -> None:
        self._file.write(line(record))

    def close(self) -> None:
        """Nothing is left to write."""


class _Avro:
    """A container whose field `data` is typed: one of the topics' events, in its newest version."""

    def __init__(self, file: IO[bytes], events: Sequence[type[Event]]) -> None:
        text = ["null", "string"]
        fields: list[tuple[str, Any]] = [
            ("topic", "string"),
            ("partition", "int"),
            ("offset", "long"),
            ("timestamp", {"type": "long", "logicalType": "timestamp-millis"}),
            ("key", text),
            ("headers", {"type": "map", "values": text}),
            ("type", text),
            ("data", ["null", *(json.loads(schema_text(event)) for event in events)]),
            ("error", text),
            ("value", ["null", "bytes"]),
        ]
        schema = {
            "type": "record",
            "name": "Record",
            "namespace": "headwater.audit",
            "fields": [{"name": name, "type": type_} for name, type_ in fields],
        }
        self._writer = Writer(file, parse_schema(schema), codec="deflate")

    def write(self, record: dict[str, Any]) -> None:
        data = (record["type"], record["data"]) if "data" in record else None
        self._writer.write(record | {"timestamp": datetime.fromisoformat(record["timestamp"]), "data": data})

    def close(self) -> None:
        self._writer.flush()


class _Parquet:
    """Columns as the others have them; `data` is JSON, because a column has one type."""

    def __init__(self, file: IO[bytes]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise Refused("parquet_missing", "Parquet needs the extra: pip install 'headwater[parquet]'") from None
        self._schema = pyarrow.schema(
            [
                ("topic", pyarrow.string()),
                ("partition", pyarrow.int32()),
                ("offset", pyarrow.int64()),
                ("timestamp", pyarrow.timestamp("ms", tz="UTC")),
                ("key", pyarrow.string()),
                ("headers", pyarrow.map_(pyarrow.string(), pyarrow.string())),
                ("type", pyarrow.string()),
                ("data", pyarrow.string()),
                ("error", pyarrow.string()),
                ("value", pyarrow.binary()),
            ]
        )
        self._pyarrow = pyarrow
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema)
        self._rows: list[dict[str, Any]] = []

    def write(self, record: dict[str, Any]) -> None:
        data = line(record["data"]).decode().rstrip() if "data" in record else None
        row = {"timestamp": datetime.fromisoformat(record["timestamp"]), "headers": list(record["headers"].items())}
        self._rows.append(record | row | {"data": data})
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(self._pyarrow.Table.from_pylist(self._rows, self._schema))
        self._rows.clear()
