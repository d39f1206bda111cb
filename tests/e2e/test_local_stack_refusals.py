"""What `headwater up` refuses before anything starts, and what `headwater doctor` says about it."""

import json
from pathlib import Path

import pytest

from infra.local.ports import free_port
from tests.machine import PASSWORD, Answer, Machine, listening, refused

pytestmark = pytest.mark.connected

CONFIGURED = {
    "HEADWATER_KAFKA_BOOTSTRAP_SERVERS": "{}",
    "HEADWATER_DATABASE_URL": f"postgresql://headwater:{PASSWORD}@{{}}/headwater",
    "HEADWATER_DATABASE_URL_MESSAGING": f"postgresql://headwater:{PASSWORD}@{{}}/headwater",
    "HEADWATER_SCHEMA_REGISTRY_URL": f"http://headwater:{PASSWORD}@{{}}/apis/ccompat/v7",
}


def test_two_settings_that_ask_for_one_port_are_refused(machine: Machine) -> None:
    same = {"HEADWATER_LOCAL_KAFKA_PORT": str(machine.port)}

    refused(machine.run("up", **same), "HEADWATER_PORT", "HEADWATER_LOCAL_KAFKA_PORT", str(machine.port))
    assert not machine.home.directory.exists()
    assert "HEADWATER_LOCAL_KAFKA_PORT both ask" in _problems(machine, same)["ports"]


def test_a_port_that_is_not_used_clashes_with_none(machine: Machine) -> None:
    machine.up(**machine.elsewhere, HEADWATER_LOCAL_KAFKA_PORT=str(machine.port))


@pytest.mark.parametrize("options", [(), ("--detach",)], ids=["here", "detached"])
@pytest.mark.parametrize("variable", CONFIGURED)
def test_a_configured_server_that_does_not_answer_is_refused(
    machine: Machine, variable: str, options: tuple[str, ...]
) -> None:
    silent = f"127.0.0.1:{free_port()}"
    answer = machine.run("up", *options, **{**machine.elsewhere, variable: CONFIGURED[variable].format(silent)})

    refused(answer, f"{variable}: ", silent, f"correct {variable}, or unset it")
    assert PASSWORD not in answer.stdout + answer.stderr
    assert not machine.home.directory.exists()


def test_of_several_brokers_one_is_enough(machine: Machine) -> None:
    machine.up(**{**machine.elsewhere, "HEADWATER_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:1,{machine.server}"})


def test_a_page_of_something_else_is_no_registry(machine: Machine) -> None:
    with listening(_Page) as server:
        wrong = {**machine.elsewhere, "HEADWATER_SCHEMA_REGISTRY_URL": f"http://{server}"}

        refused(machine.run("up", **wrong), "HEADWATER_SCHEMA_REGISTRY_URL: ", "no JSON")


def test_doctor_tells_of_each_configured_server_whether_it_answers(machine: Machine) -> None:
    found = _checks(machine, machine.elsewhere)
    silent = {variable: shape.format(f"127.0.0.1:{free_port()}") for variable, shape in CONFIGURED.items()}
    problems = _problems(machine, silent)

    assert found["Kafka"] == found["database"] == (True, f"{machine.server} answers")
    assert found["registry"] == (True, f"http://headwater@{machine.server} answers")
    assert {"Kafka", "database", "registry"} <= problems.keys()
    assert all(f"{variable}: " in "".join(problems.values()) for variable in CONFIGURED)
    assert PASSWORD not in str(found) + str(problems)


def test_doctor_says_which_home_cannot_be_written_and_nothing_else_of_it(machine: Machine) -> None:
    for home in ("/proc/headwater", "/sys/headwater"):
        problems = _problems(machine, {**machine.elsewhere, "HEADWATER_HOME": home})

        assert problems.keys() == {"home"}
        assert problems["home"].startswith(f"cannot write {Path(home).parent} (")
        assert "set HEADWATER_HOME" in problems["home"]


def test_doctor_calls_port_0_what_it_is(machine: Machine) -> None:
    assert _checks(machine, {**machine.elsewhere, "HEADWATER_PORT": "0"})["any free port"][0]


def _checks(machine: Machine, environment: dict[str, str]) -> dict[str, tuple[bool, str]]:
    rows = json.loads(machine.run("doctor", "--json", **environment).stdout)
    return {row["check"]: (row["ok"], row["text"]) for row in rows}


def _problems(machine: Machine, environment: dict[str, str]) -> dict[str, str]:
    answer = machine.run("doctor", "--json", **environment)
    assert answer.returncode == 1
    problems: dict[str, str] = {}
    for row in json.loads(answer.stdout):
        if not row["ok"]:
            problems[row["check"]] = problems.get(row["check"], "") + row["text"]
    return problems


class _Page(Answer):
    text = b"<html>"
