"""Documents from one format into another: `headwater convert` beside other command-line programs, on the same files.

Each run is a process of its own. What it took is measured by a small parent, since the system counts the
memory that a process was forked with to its peak."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tests.load.field import Figures, medians

OURS: Final = (sys.executable, "-m", "headwater", "convert")
PARENT: Final = """
import json, os, subprocess, sys, time
began = time.perf_counter()
with open(sys.argv[1], "wb") as out:
    process = subprocess.Popen(sys.argv[2:], stdout=out)
_, status, used = os.wait4(process.pid, 0)
print(json.dumps([status, time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that converts, too, and what has to be true beside it."""

    title: str
    command: tuple[str, ...]  # reads the file that is named last, writes to its standard output
    package: str
    goal: float
    reads: str | None = None  # where it is given another file than ours, in another format

    @property
    def is_library(self) -> bool:
        """Return whether it is a package that a few lines of Python use."""
        return self.command[0] == sys.executable


@dataclass(frozen=True, slots=True)
class Pair:
    """Two formats, and who else converts between them."""

    read: str
    write: str
    peers: tuple[Peer, ...]
    options: tuple[str, ...] = ()  # of ours, as the command line has them

    @property
    def title(self) -> str:
        """Return what is converted into what, and how."""
        return " ".join([f"{self.read} to {self.write}", *self.options])


def _library(title: str, package: str, goal: float, code: str) -> Peer:
    return Peer(title, (sys.executable, "-c", code), package, goal)


MILLER: Final = "miller (Debian)"
YQ: Final = "github.com/mikefarah/yq/v4 (Go)"
DUCKDB: Final = """
import sys, duckdb
columns = "id, name, email, active, balance, note, address.street, address.city, address.zip, address.geo.lat, address.geo.lon"
tags = ", ".join(f"tags[{number}]" for number in (1, 2, 3))
duckdb.sql(f"copy (select {columns}, {tags} from read_json('{sys.argv[1]}')) to '/dev/stdout' (format csv)")
"""
POLARS: Final = """
import sys, polars
from polars import col
address, tags = col("address").struct, col("tags").list
geo = address.field("geo").struct
frame = polars.read_ndjson(sys.argv[1]).select(
    "id", "name", "email", "active", "balance", "note", address.field("street"), address.field("city"), address.field("zip"),
    geo.field("lat"), geo.field("lon"), *(tags.get(number).alias(f"tags{number}") for number in range(3)),
)
frame.write_csv(sys.stdout.buffer)
"""
MSGSPEC: Final = """
import sys, msgspec
sys.stdout.buffer.write(msgspec.{1}.encode(msgspec.{0}.decode(open(sys.argv[1], "rb").read())))
"""
CALAMINE: Final = """
import sys, python_calamine
python_calamine.CalamineWorkbook.from_path(sys.argv[1]).get_sheet_by_index(0).to_python()
"""
PAIRS: Final = (
    Pair(
        "json",
        "csv",
        (
            Peer("Miller, JSON lines", ("mlr", "--ijsonl", "--ocsv", "cat"), MILLER, 2.5, reads="ndjson"),
            Peer("Miller, JSON array", ("mlr", "--ijson", "--ocsv", "cat"), MILLER, 4.0),
            _library("DuckDB, columns by hand", "duckdb", 1.0, DUCKDB),
        ),
    ),
    Pair("csv", "json", (Peer("Miller, texts", ("mlr", "-S", "--icsv", "--ojson", "cat"), MILLER, 1.5),)),
    Pair("xml", "json", (Peer("yq", ("yq", "-p", "xml", "-o", "json", "-I", "0", "."), YQ, 6.0),)),
    Pair("yaml", "json", (Peer("yq", ("yq", "-p", "yaml", "-o", "json", "-I", "0", "."), YQ, 2.5),)),
    Pair("json", "yaml", (Peer("yq", ("yq", "-p", "json", "-o", "yaml", "."), YQ, 3.0),)),
    Pair("ndjson", "csv", (_library("polars, columns by hand", "polars", 0.5, POLARS),)),
    Pair(
        "csv",
        "json",
        (Peer("Miller, inference", ("mlr", "--icsv", "--ojson", "cat"), MILLER, 1.2),),
        ("inference=safe",),
    ),
    # 100 and 70 MB/s where bare decoders and encoders of batches reached 168 and 99
    Pair("json", "msgpack", (_library("msgspec, whole", "msgspec", 0.6, MSGSPEC.format("json", "msgpack")),)),
    Pair("msgpack", "json", (_library("msgspec, whole", "msgspec", 0.7, MSGSPEC.format("msgpack", "json")),)),
    Pair("xlsx", "json", (_library("calamine, reading only", "python_calamine", 0.4, CALAMINE),)),
)


def records() -> Iterator[dict[str, Any]]:
    """Yield records of 14 leaves, 288 bytes of JSON each: nested, with a list, nulls, quotes, newlines and umlauts."""
    number = 0
    while True:
        yield {
            "id": number,
            "name": f"Customer {number} Müller-Ødegård",
            "email": f"user{number}@example.org",
            "active": number % 2 == 0,
            "balance": number * 7919 % 1_000_003 / 100,
            "note": None if number % 3 else 'said "hello", then left\nand came back',
            "address": {
                "street": f"{number % 997} Main Street",
                "city": "København",
                "zip": f"{number % 100_000:05d}",
                "geo": {"lat": 55.6761 + number % 100 / 1000, "lon": 12.5683 - number % 100 / 1000},
            },
            "tags": ["alpha", "beta", f"t{number % 50}"],
        }
        number += 1


def written(directory: Path, count: int) -> Path:
    """Write so many records as a JSON array and return the file."""
    path = directory / f"{count}.json"
    with path.open("w", encoding="utf-8") as out:
        for number, record in enumerate(islice(records(), count)):
            out.write("[" if number == 0 else ",")
            out.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
        out.write("]")
    return path


def converted(path: Path, format_: str) -> Path:
    """Return the file in another format, which it is converted to once."""
    target = path.with_suffix(f".{format_}")
    if not target.exists():
        subprocess.run([*OURS, path, target, "-o", "newline=lf"], check=True, capture_output=True)
    return target


def is_installed(peer: Peer) -> bool:
    """Return whether the program is there: another of its name says something else of itself."""
    if peer.is_library:
        return importlib.util.find_spec(peer.package) is not None
    if shutil.which(peer.command[0]) is None:
        return False
    said = subprocess.run([peer.command[0], "--version"], capture_output=True, text=True, check=False).stdout
    return {"mlr": "mlr 6", "yq": "mikefarah"}[peer.command[0]] in said


def took(command: tuple[str, ...], out: Path) -> Figures:
    """Run the command and return the seconds, processor seconds and, at its peak, MB of memory that it took."""
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PARENT, out, *command], capture_output=True, text=True, check=True
    )
    status, seconds, cpu, memory = json.loads(ran.stdout.splitlines()[-1])
    if status:
        raise RuntimeError(f"{command}: {ran.stderr[-2000:]}")
    return {"seconds": seconds, "cpu_s": cpu, "memory_mb": memory}


def ours(source: Path, write: str, options: tuple[str, ...] = ()) -> Figures:
    """Convert the file as its users do."""
    asked = [word for option in options for word in ("-o", option)]
    target = source.with_name(f"ours.{write}")
    return took((*OURS, str(source), str(target), *asked, "--json"), source.with_name("report"))


def compared(few: Path, many: Path, pair: Pair, peers: list[Peer], turns: int) -> list[Figures]:
    """Return the medians of ours and of each peer, one after the other, several times: MB a second and a processor second.
    What a file of few records takes is left out of both: it is start-up, which workers have behind them."""
    rounds = []
    for _ in range(turns):
        turn = [_net(*((path, ours(path, pair.write, pair.options)) for path in (few, many)))]
        for peer in peers:
            given = [converted(path, peer.reads or pair.read) for path in (few, many)]
            turn.append(_net(*((path, took((*peer.command, str(path)), path.with_name("theirs"))) for path in given)))
        rounds.append(turn)
    return [medians(each) for each in zip(*rounds, strict=True)]


def _net(few: tuple[Path, Figures], many: tuple[Path, Figures]) -> Figures:
    size = (many[0].stat().st_size - few[0].stat().st_size) / 1e6
    seconds, cpu = (max(many[1][name] - few[1][name], 1e-3) for name in ("seconds", "cpu_s"))
    return {"rate": size / seconds, "per_cpu_s": size / cpu, "memory_mb": many[1]["memory_mb"]}
