"""What is measured of documents over HTTP, and the goals."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tests.load import converting
from tests.load.benches import Line, Scale, at_least
from tests.load.converting_http import Watched
from tests.load.field import Field, Figures, Side, medians
from tests.probes import during

AT_ONCE = 8
MEMORY_MB = 600
UNCHANGED = 1 / 1.2  # of p99: a fifth more at most
LARGE_S = 300.0  # that eight large ones may take


async def convert_http(field: Field, scale: Scale) -> list[Line]:
    """Documents over HTTP beside command lines."""
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        some, many = (converting.written(Path(directory), scale.converted * parts // 10) for parts in (3, 10))
        async with field.serving(Side("converting_http.serve")) as port:
            watched = Watched(port)
            for pair in converting.PAIRS[:3]:
                source = await asyncio.to_thread(converting.converted, some if pair.read == "xml" else many, pair.read)
                peers = [peer for peer in pair.peers if converting.is_installed(peer)]
                ours, *others = await _beside(field, port, source, pair, peers, watched)
                what = f"{pair.read} to {pair.write} over HTTP, MB"
                lines += [
                    at_least(peer.goal, what, peer.title, ours, theirs, f"peer {theirs['memory_mb']:.0f} MB of memory")
                    for peer, theirs in zip(peers, others, strict=True)
                ]
    return lines


async def _beside(
    field: Field, port: int, source: Path, pair: converting.Pair, peers: list[converting.Peer], watched: Watched
) -> list[Figures]:
    """Return the medians of ours and of each peer, taken by turns."""
    side = Side(
        "converting_http.convert", {"port": port, "source": str(source), "read": pair.read, "write": pair.write}
    )
    size = source.stat().st_size / 1e6
    rounds = []
    for _ in range(field.turns):
        before = watched.cpu_s
        ours = await field.turn(side)
        turn = [{**ours, "per_cpu_s": size / (watched.cpu_s - before)}]
        for peer in peers:
            given = await asyncio.to_thread(converting.converted, source, peer.reads or pair.read)
            command = (*peer.command, str(given))
            took = await asyncio.to_thread(converting.took, command, source.with_name("theirs"))
            theirs = {"rate": size / took["seconds"], "per_cpu_s": size / took["cpu_s"], "memory_mb": took["memory_mb"]}
            turn.append(theirs)
        rounds.append(turn)
    return [medians(each) for each in zip(*rounds, strict=True)]


async def concurrency(field: Field, scale: Scale) -> list[Line]:
    """Eight large conversions at once, and those who chat meanwhile."""
    with tempfile.TemporaryDirectory() as directory:
        source = converting.written(Path(directory), scale.large)
        async with field.serving(Side("converting_http.serve")) as port:
            watched = Watched(port)
            some = {"port": port, "source": str(source), "read": "json", "write": "csv"}
            large = Side("converting_http.convert", {**some, "at_once": AT_ONCE})
            await field.turn(Side("converting_http.chat", {"port": port, "seconds": scale.warm_s}))
            quiet, busy = [], []
            async with during(watched.watch()):
                for _ in range(field.turns):
                    chat = Side("converting_http.chat", {"port": port, "seconds": scale.chat_s})
                    quiet.append(await field.turn(chat))
                    converting_ = asyncio.create_task(field.turn(large, LARGE_S))
                    busy.append(await field.turn(chat))
                    busy[-1]["rate"] = (await converting_)["rate"]
            size = source.stat().st_size / 1e6
    alone, beside = medians(quiet), medians(busy)
    memory = Line(
        f"{AT_ONCE} × {size:.0f} MB at once: MB of memory of all processes", "none", watched.peak_mb, None, watched.peak_mb,
        MEMORY_MB, watched.peak_mb < MEMORY_MB,
        note=f"{watched.peak_rss_mb:.0f} MB with shared pages counted by each; {beside['rate']:.0f} MB/s",
    )  # fmt: skip
    return [memory, *(_unchanged(kind, alone, beside) for kind in ("message", "plain"))]


def _unchanged(kind: str, alone: Figures, beside: Figures) -> Line:
    name = f"{kind}_p99_ms"
    ratio = alone[name] / beside[name]
    note = f"p50 {beside[f'{kind}_p50_ms']:.1f} and {alone[f'{kind}_p50_ms']:.1f} ms"
    what = {"message": "POST message", "plain": "GET permissions"}[kind]
    return Line(
        f"{what} beside {AT_ONCE} conversions: p99 ms", "without them", beside[name], alone[name], ratio, UNCHANGED,
        ratio >= UNCHANGED, note=note,
    )  # fmt: skip


BENCHES: Mapping[str, Callable[[Field, Scale], Awaitable[list[Line]]]] = {
    each.__name__: each for each in (convert_http, concurrency)
}
