"""nginx and HAProxy, as Debian packages them, with configurations that `headwater proxy-config` prints."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.debian import unpacked, with_libraries
from tests.probes import eventually

HAPROXY = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")
NGINX = ("nginx", "nginx-common")
KINDS = ("body", "proxy", "fastcgi", "uwsgi", "scgi")

Command = tuple[list[str], dict[str, str]]


def nginx(configuration: str, directory: Path, *more: str) -> Command:
    """Return how to run nginx in the foreground. Where it keeps files on disk is the system's part of a configuration."""
    names = (name if name != "body" else "client_body" for name in KINDS)
    places = "".join(f"    {name}_temp_path {directory}/{name};\n" for name in names)
    file = directory / "nginx.conf"
    file.write_text(configuration.replace("http {\n", f"http {{\n    access_log off;\n{places}", 1))
    usr = unpacked(*NGINX)
    main = f"daemon off; master_process off; pid {directory}/pid;"
    return [str(usr / "sbin/nginx"), "-c", str(file), "-e", "stderr", "-g", main, *more], with_libraries(usr)


def haproxy(configuration: str, directory: Path, *more: str) -> Command:
    """Return how to run HAProxy in the foreground."""
    file = directory / "haproxy.cfg"
    file.write_text(configuration)
    usr = unpacked(*HAPROXY)
    return [str(usr / "sbin/haproxy"), "-f", str(file), *more], with_libraries(usr)


PROGRAMS = {"nginx": (nginx, "-t"), "haproxy": (haproxy, "-c")}


def check(proxy: str, configuration: str, directory: Path) -> str:
    """Return what the program says about the configuration; empty where it takes it."""
    program, option = PROGRAMS[proxy]
    command, environment = program(configuration, directory, option)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return ran.stdout + ran.stderr if ran.returncode else ""


@asynccontextmanager
async def running(proxy: str, configuration: str, port: int, directory: Path) -> AsyncIterator[str]:
    """Run the program while the block lasts; enter when it takes connections."""
    program, _ = PROGRAMS[proxy]
    command, environment = await asyncio.to_thread(program, configuration, directory)
    log = directory / "log"
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *command, env=os.environ | environment, stdout=output, stderr=output
        )

    async def listens() -> bool:
        assert process.returncode is None, log.read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            return False
        writer.close()
        return True

    try:
        await eventually(listens)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
