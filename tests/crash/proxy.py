"""A TCP proxy in a process of its own: what passes can be held up, slowed down or cut off. Started by a campaign.

Arguments: `NAME=LISTEN:TARGET`, ports on loopback. Lines of JSON on standard input: `{"link": NAME, "do": "cut"}` (nothing
passes any more, connections stay), `{"do": "delay", "seconds": S}` (each piece takes so long), `"mend"` (both end), `"reset"`.
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys

import uvloop

HOST = "127.0.0.1"
PIECE = 1 << 16
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: closing sends RST


class Link:
    """One port and where it leads."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._delay = 0.0
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, both ways, until one side ends."""
        await self._open.wait()
        try:
            onwards = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass(reader, onwards[1]), self._pass(onwards[0], writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while piece := await reader.read(PIECE):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._open.wait()
                writer.write(piece)
                await writer.drain()
        except (OSError, RuntimeError):  # the latter is uvloop's word for a connection that was reset meanwhile
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def do(self, what: str, seconds: float = 0.0) -> None:
        """Obey a line."""
        match what:
            case "cut":
                self._open.clear()
            case "delay":
                self._delay = seconds
            case "mend":
                self._open.set()
                self._delay = 0.0
            case "reset":
                for writer in list(self._writers):
                    with contextlib.suppress(OSError):
                        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    writer.transport.abort()


async def main(arguments: list[str]) -> None:
    links = {}
    for argument in arguments:
        name, _, ports = argument.partition("=")
        listen, _, target = ports.partition(":")
        links[name] = Link(int(target))
        await asyncio.start_server(links[name].serve, HOST, int(listen))
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print("ready", flush=True)
    while line := await lines.readline():
        command = json.loads(line)
        links[command.pop("link")].do(command.pop("do"), **command)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
