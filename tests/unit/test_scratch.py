"""Directories of files for others: nothing of them is left, whatever becomes of their process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra import scratch
from infra.scratch import Scratch

HOLDS = """
import sys
from infra.scratch import Scratch
held = Scratch("test")
(held.path / "big").write_bytes(b"x")
print(held.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "YOUNG_S", 0.0)


def test_what_a_killed_process_has_left_goes_with_the_next_one(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with holder:
        assert holder.stdout
        left = Path(holder.stdout.readline().decode().strip())
        Scratch("test").close()
        assert (left / "big").exists()  # somebody uses it

        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert (left / "big").exists()
        Scratch("test").close()

    assert list(tmp_path.iterdir()) == []


def test_what_is_closed_is_gone_and_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "headwater-other-1").mkdir()
    (tmp_path / "headwater-test-1").symlink_to(tmp_path / "headwater-other-1")
    held = Scratch("test")
    (held.path / "deep").mkdir()
    held.close()

    assert sorted(each.name for each in tmp_path.iterdir()) == ["headwater-other-1", "headwater-test-1"]


def test_a_directory_that_may_not_be_locked_yet_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "YOUNG_S", 60.0)
    (tmp_path / "headwater-test-1").mkdir()
    Scratch("test").close()

    assert (tmp_path / "headwater-test-1").is_dir()
