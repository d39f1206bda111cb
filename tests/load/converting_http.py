"""Documents through `POST /documents/convert` of a real process with every limit on: how fast, and what eight large ones at once
take of memory, and of time from those who chat there meanwhile."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from time import perf_counter
from uuid import uuid4

from headwater import roles
from headwater.configured import shared_key_tokens
from headwater.environment import load
from infra.health import Health
from tests.load.field import Figures
from tests.load.http_client import Connection, connect, percentile, request
from tests.load.posting import MESSAGES, body
from tests.load.side import opened

CONVERT = "/api/v1/documents/convert"
PLAIN = "/api/v1/me/permissions"
RECEIVED = 1 << 20
HEAD = b"HTTP/1.1 200"
END = b"\r\n0\r\n\r\n"
NICENESS = 10  # of clients that upload: in truth they are other machines
CONNECTIONS = 16
USERS = 200  # by turns, so that nobody passes the limit of requests
LOOK_S = 0.25
TICKS = os.sysconf("SC_CLK_TCK")


async def serve(port: int) -> Figures:
    """Serve role `web` with settings as they are until the process is ended."""
    async with opened(port=port) as house:
        (documents,) = [module for module in house.modules if module.name == "documents"]
        assert documents.begin
        documents.begin()
        await roles._Server(roles.server_config(house, {"web"}, Health(("web",), {}))).serve()
    return {}


async def convert(port: int, source: str, read: str, write: str, at_once: int = 1, per_user: int = 4) -> Figures:
    """Have a file converted, so often at once. Return MB of it a second, all together."""
    os.nice(NICENESS if at_once > 1 else 0)
    tokens = shared_key_tokens(load())
    users = [uuid4() for _ in range(0, at_once, per_user)]
    path = f"{CONVERT}?from={read}&to={write}"
    heads = [request("POST", path, tokens.issue(users[each // per_user]), b"") for each in range(at_once)]
    began = perf_counter()
    with ThreadPoolExecutor(at_once) as clients:
        running = asyncio.get_running_loop().run_in_executor
        await asyncio.gather(*(running(clients, _uploaded, port, head, Path(source)) for head in heads))
    seconds = perf_counter() - began
    return {"rate": at_once * Path(source).stat().st_size / 1e6 / seconds, "seconds": seconds}


def _uploaded(port: int, head: bytes, source: Path) -> None:
    """Send the file while what comes back is taken. Raise `RuntimeError` for anything but a whole document."""
    size = b"content-length: %d\r\nconnection: close" % source.stat().st_size
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        source.open("rb") as file,
        ThreadPoolExecutor(1) as sender,
    ):
        connection.sendall(head.replace(b"content-length: 0", size))
        sending = sender.submit(connection.sendfile, file)
        first, last = b"", b""
        while piece := connection.recv(RECEIVED):
            first = first or piece[:2000]
            last = (last + piece[-len(END) :])[-len(END) :]
        sending.result()
    if not first.startswith(HEAD) or last != END:
        raise RuntimeError(f"no whole document: {first!r}")


async def chat(port: int, seconds: float, per_second: int = 50) -> Figures:
    """Send messages, and ask for what one may do, each so often a second whatever the answers take. Return how long they took
    from the moment that they were due, in ms."""
    tokens, users = shared_key_tokens(load()), [uuid4() for _ in range(USERS)]
    signed = [(str(user), tokens.issue(user)) for user in users]

    def messages(number: int) -> bytes:
        user, token = signed[number % USERS]
        return request("POST", MESSAGES, token, body([user, str(uuid4())], str(number)))

    def plain(number: int) -> bytes:
        return request("GET", PLAIN, signed[number % USERS][1], b"")

    kinds: dict[str, Callable[[int], bytes]] = {"message": messages, "plain": plain}
    took = await asyncio.gather(*(_paced(port, each, per_second, seconds) for each in kinds.values()))
    return {
        f"{kind}_{name}_ms": percentile(each, share) * 1000
        for kind, each in zip(kinds, took, strict=True)
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }


async def _paced(port: int, ask: Callable[[int], bytes], per_second: int, seconds: float) -> list[float]:
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        idle.put_nowait(await connect(port))
    took: list[float] = []

    async def one(number: int, due: float) -> None:
        connection = await idle.get()
        status = await connection.ask(ask(number))
        assert status in (200, 202), status
        took.append(perf_counter() - due)
        idle.put_nowait(connection)

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in count():
            due = began + number / per_second
            if due > began + seconds:
                break
            await asyncio.sleep(max(due - perf_counter(), 0))
            group.create_task(one(number, due))
    return took


class Watched:
    """The process that serves a port, and all that it has started."""

    def __init__(self, port: int) -> None:
        self._root = next(_of_command(f'"port": {port}'))
        self.peak_mb = self.peak_rss_mb = 0.0

    async def watch(self) -> None:
        """Look for ever how much memory they have: pages that several share are counted once in `peak_mb`, by each in
        `peak_rss_mb`."""
        while True:
            rss, pss = await asyncio.to_thread(self._memory)
            self.peak_rss_mb, self.peak_mb = max(self.peak_rss_mb, rss), max(self.peak_mb, pss)
            await asyncio.sleep(LOOK_S)

    @property
    def cpu_s(self) -> float:
        """Return the processor time that they have had, those that have ended included."""
        stats = (_stat(process) for process in self._all())
        return sum(sum(map(int, each[11:15])) for each in stats) / TICKS

    def _memory(self) -> tuple[float, float]:
        rss = pss = 0
        for process in self._all():
            try:
                lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
            except OSError:
                continue  # it has ended
            told = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
            rss, pss = rss + told["Rss"], pss + told["Pss"]
        return rss / 1024, pss / 1024

    def _all(self) -> list[int]:
        parents = {process: int(stat[1]) for process in _processes() if (stat := _stat(process))}
        found = [self._root]
        for each in found:
            found += [process for process, parent in parents.items() if parent == each]
        return [each for each in found if each in parents]


def _stat(process: int) -> list[str]:
    """Return what `/proc` says of the process behind its name, nothing of one that has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _processes() -> Iterator[int]:
    return (int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal())


def _of_command(part: str) -> Iterator[int]:
    for process in _processes():
        try:
            if part.encode() in Path(f"/proc/{process}/cmdline").read_bytes():
                yield process
        except OSError:
            continue
