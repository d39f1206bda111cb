"""The hot paths, each beside a peer in the same run: `make bench`. Only ratios count (docs/performance.md)."""

import argparse
import asyncio
import json
import secrets
import tempfile
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.table import Table

from tests.load import benches_documents, benches_rendering
from tests.load.benches import BENCHES, READING, Line, Scale
from tests.load.field import Side, prepared
from tests.servers import start_servers

TURNS = 2
ALL = {**BENCHES, **benches_documents.BENCHES, **benches_rendering.BENCHES}


async def measured(names: list[str], turns: int) -> list[Line]:
    """Return the lines of these benches, measured on servers of their own."""
    scale, lines = Scale(), []
    progress, began = Console(stderr=True), monotonic()
    with tempfile.TemporaryDirectory() as directory:
        servers = await asyncio.to_thread(start_servers, Path(directory))
        try:
            field = await prepared(servers, secrets.token_urlsafe(48), turns)
            progress.print(f"servers: {monotonic() - began:.0f} s")
            if READING.intersection(names):
                await field.turn(Side("records.fill", {"records": scale.records}))
            for name in names:
                began = monotonic()
                lines += await ALL[name](field, scale)
                progress.print(f"{name}: {monotonic() - began:.0f} s")
        finally:
            await asyncio.to_thread(servers.stop)
    return lines


def table(lines: list[Line]) -> Table:
    """Return the lines as people read them."""
    made = Table(
        "what",
        "ours",
        "peer",
        "ratio",
        "goal",
        "",
        "ratio per CPU s",
        "peer is",
        title="a second, median of each side's turns",
    )
    for each in lines:
        is_ratio = each.peer_is is not None
        made.add_row(
            each.what,
            f"{each.ours_is:,.0f}" if is_ratio else f"{each.ours_is:.1f}",
            f"{each.peer_is:,.0f}" if each.peer_is is not None else "",
            f"{each.value:.2f}" if is_ratio else "",
            f"≥ {each.goal:g}" if is_ratio else f"< {each.goal:g}",
            "met" if each.met else "missed",
            f"{each.per_cpu_s:.2f}" if each.per_cpu_s else "",
            f"{each.peer}; {each.note}" if each.note else each.peer,
        )
    return made


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(prog="tests.load.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(ALL), help="one bench; may be repeated")
    parser.add_argument("--turns", type=int, default=TURNS, help="of each side; the median counts")
    parser.add_argument("--json", type=Path, help="also write the lines there")
    asked = parser.parse_args()
    lines = asyncio.run(measured(asked.only or list(ALL), asked.turns))
    Console(width=160).print(table(lines))
    if asked.json:
        asked.json.write_text(json.dumps([each.as_json() for each in lines], indent=1) + "\n")


if __name__ == "__main__":
    main()
