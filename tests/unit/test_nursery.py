"""Forks of a process that has read the code: each on its own, none outlives the nursery, none is lost with it."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from infra.local.errors import StackError
from infra.local.nursery import Nursery
from infra.local.processes import Child, Command
from infra.local.state import started
from tests.machine import eventually

ROOT = Path(__file__).parents[2]
CODE = """
import os, signal, sys
from infra.local.nursery import forks

nursery = os.getpid()
word, = forks(int(sys.argv[1]))
print(word, os.environ["WHO"], os.getcwd(), os.getppid() == nursery, os.getsid(0) == os.getpid(), flush=True)
if word == "stay":
    signal.pause()
sys.exit(3)
"""

Make = Callable[[str], Child]


def reading(code: str, connection: int) -> Command:
    return Command((sys.executable, "-c", code, str(connection)), ROOT, handed=(connection,))


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    nursery = Nursery(partial(reading, CODE), tmp_path / "nursery.log")
    yield nursery
    nursery.stop()


@pytest.fixture
def child(nursery: Nursery, tmp_path: Path) -> Make:
    def of(word: str) -> Child:
        command = Command((word,), tmp_path, {"WHO": "ann"})
        return Child(word, lambda: command, tmp_path / f"{word}.log", start=nursery.start)

    return of


def test_a_fork_has_directory_environment_log_and_session_of_its_own(child: Make, tmp_path: Path) -> None:
    stays = child("stay")
    stays.start()
    eventually(lambda: stays.log.read_text().endswith("\n"), "written")

    assert stays.log.read_text() == f"stay ann {tmp_path} True True\n"
    assert stays.log.stat().st_mode & 0o077 == 0
    assert Path(f"/proc/{stays.pid}/cmdline").read_bytes().rstrip(b"\0") == b"headwater stay"

    stays.stop()
    assert not stays.is_alive


def test_how_a_fork_ended_is_known(child: Make) -> None:
    leaves, stays = child("leave"), child("stay")
    leaves.start()
    stays.start()
    eventually(lambda: not leaves.is_alive, "over")
    stays.kill()

    assert "exit code 3" in (leaves.tend() or "")
    assert "SIGKILL" in (stays.tend() or "")
    assert stays.is_alive


def test_forks_end_with_the_nursery_and_come_from_a_new_one(child: Make) -> None:
    stays = child("stay")
    stays.start()
    before = stays.pid
    assert before
    os.kill(parent(before), signal.SIGKILL)
    eventually(lambda: started(before) is None, "gone")
    eventually(lambda: not stays.is_alive, "known to be gone")

    stays.start()

    assert stays.is_alive
    assert stays.pid != before


def test_code_that_cannot_be_read_is_an_error_that_shows_why(tmp_path: Path) -> None:
    nursery = Nursery(partial(reading, "raise ImportError('no such module')"), tmp_path / "nursery.log")
    command = Command(("stay",), tmp_path)

    with pytest.raises(StackError) as error:
        nursery.start(command, tmp_path / "stay.log")

    assert "no such module" in error.value.detail


def test_a_fork_that_cannot_become_what_was_asked_is_an_error_and_leaves_the_nursery_working(
    child: Make, nursery: Nursery, tmp_path: Path
) -> None:
    nowhere = Command(("stay",), tmp_path / "missing", {"WHO": "ann"})

    with pytest.raises(StackError, match=r"nursery\.log"):
        nursery.start(nowhere, tmp_path / "stay.log")

    stays = child("stay")
    stays.start()
    assert stays.is_alive


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
