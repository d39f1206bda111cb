"""One seed of the crash regime, as `make test` has time for. `make crash` runs more, and measures."""

from pathlib import Path

import pytest
import uvloop

from tests.crash.campaign import campaign, told
from tests.crash.installation import Installation

SECONDS = 40.0
RATE = 150.0  # less than alone, since the suite shares the machine
SEED = 8  # kills a member, PostgreSQL, Kafka, the web role and a gateway, stops one, cuts a link, has a member join

pytestmark = pytest.mark.connected


def test_what_was_acknowledged_is_there_once_and_in_order_whatever_dies(tmp_path: Path) -> None:
    with Installation(tmp_path).running(tmp_path / "up.log") as installation:
        report = uvloop.run(campaign(installation, tmp_path, SEED, SECONDS, RATE))
    print(told([report]))

    assert report.violations == []
    assert report.messages > 0
    assert report.connections > 0
    assert report.recovery
