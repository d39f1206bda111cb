"""Places to die at: which there are, who may arm them, and that nobody dies unasked."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headwater.environment import load
from headwater.settings import SettingsError
from infra.crash_points import CRASH_POINTS, crash_point, parsed
from tests.unit.test_settings import PRODUCTION

ROOT = Path(__file__).parents[2]
PACKAGES = ("headwater", "sagas", "bounded_contexts", "infra", "shared_kernel")
LIFE = "from infra.crash_points import arm, crash_point\narm('batch.before-commit:3')\n"


def test_every_point_is_one_place_of_the_product() -> None:
    calls = [
        call.args[0].value
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "crash_point"
        if isinstance(call.args[0], ast.Constant)
    ]

    assert sorted(map(str, calls)) == sorted(CRASH_POINTS)


def test_who_is_not_asked_to_die_lives() -> None:
    for name in CRASH_POINTS:
        crash_point(name)


@pytest.mark.parametrize(("passes", "code"), [(2, 0), (3, -signal.SIGKILL)])
def test_the_process_dies_at_its_point_and_its_time(passes: int, code: int) -> None:
    program = LIFE + "crash_point('batch.after-commit')\n" + "crash_point('batch.before-commit')\n" * passes

    died = subprocess.run((sys.executable, "-c", program), cwd=ROOT, env=dict(os.environ), check=False, timeout=30)

    assert died.returncode == code


def test_a_point_is_meant_the_first_time_or_the_time_that_is_given() -> None:
    assert parsed("batch.before-commit") == ("batch.before-commit", 1)
    assert parsed("batch.before-commit:7") == ("batch.before-commit", 7)


@pytest.mark.parametrize("at", ["lunch", "batch.before-commit:0", "batch.before-commit:-1", "batch.before-commit:x"])
def test_what_is_no_point_is_refused_by_the_variables_name(at: str) -> None:
    with pytest.raises(SettingsError, match="HEADWATER_CRASH_AT"):
        load({"HEADWATER_CRASH_AT": at})


def test_production_has_no_crash_points() -> None:
    with pytest.raises(SettingsError, match="HEADWATER_CRASH_AT is for development"):
        load(PRODUCTION | {"HEADWATER_CRASH_AT": "batch.before-commit"})
