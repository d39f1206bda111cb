"""One seed of the crash regime, as `make test` has time for. `make crash` runs more, and measures."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = "8"  # kills a member, PostgreSQL, Kafka, the web role and a gateway, stops one, cuts a link, has a member join
SECONDS = "30"
RATE = "150"  # less than alone, since the suite shares the machine

pytestmark = pytest.mark.connected


def test_what_was_acknowledged_is_there_once_and_in_order_whatever_dies() -> None:
    options = ("--seeds", "1", "--first", SEED, "--seconds", SECONDS, "--rate", RATE)

    done = subprocess.run(
        (sys.executable, "-m", "tests.crash.campaign", *options),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
