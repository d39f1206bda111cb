"""A small run of the crash regime for orders, as `make test` has time for: `python -m tests.crash.orders` runs 2,000."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = "5"  # kills the payment provider, the sagas and the group that confirms orders

pytestmark = pytest.mark.connected


def test_orders_come_to_one_end_and_stock_and_money_are_conserved_whatever_dies() -> None:
    options = ("--orders", "40", "--clients", "4", "--seconds", "20", "--seed", SEED)

    done = subprocess.run(
        (sys.executable, "-m", "tests.crash.orders", *options),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
