"""Rules and dashboards, read by the tools that would use them. That their queries find something: tests/e2e."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from headwater.wiring import all_roles
from tests.debian import unpacked

DIRECTORY = Path(__file__).parents[2] / "deploy" / "observability"
DASHBOARDS = sorted((DIRECTORY / "dashboards").glob("*.json"))


def promtool(*arguments: str, cwd: Path = DIRECTORY) -> "subprocess.CompletedProcess[str]":
    program = unpacked("prometheus") / "bin" / "promtool"
    return subprocess.run((program, *arguments), cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DIRECTORY / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.connected
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("check", "config", "--syntax-only", "prometheus.yml")],
    ids=" ".join,
)
def test_promtool_takes_the_files(arguments: tuple[str, ...]) -> None:
    ran = promtool(*arguments)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.connected
def test_each_alert_fires_and_is_quiet_when_it_should() -> None:
    ran = promtool("test", "rules", "alerts_test.yml")

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.connected
@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_that_never_fires_is_noticed(rule: dict[str, Any], tmp_path: Path) -> None:
    document = yaml.safe_load((DIRECTORY / "alerts.yml").read_text())
    for each in document["groups"][0]["rules"]:
        if each["alert"] == rule["alert"]:
            each["expr"] = "vector(1) > 2"
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(document))
    (tmp_path / "alerts_test.yml").write_text((DIRECTORY / "alerts_test.yml").read_text())

    ran = promtool("test", "rules", "alerts_test.yml", cwd=tmp_path)

    assert ran.returncode != 0
    assert rule["alert"] in ran.stdout + ran.stderr


@pytest.mark.connected
def test_every_service_is_scraped() -> None:
    (job,) = yaml.safe_load((DIRECTORY / "prometheus.yml").read_text())["scrape_configs"]

    assert job["dns_sd_configs"][0]["names"] == [role.replace(".", "-") for role in all_roles()]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))
def test_a_dashboard_is_whole(path: Path) -> None:
    dashboard = json.loads(path.read_text())

    assert dashboard["uid"] == path.stem
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) > 5
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert set(re.findall(r"\$__?\w+", target["expr"])) <= {"$__rate_interval"}
