"""`headwater convert`, as a person runs it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from headwater.cli import app

RUNNER = CliRunner()


def test_converts_by_the_names_of_files_and_tells_what_was_lost(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('[{"a":1,"b":{"c":"x"}},{"a":null}]')

    ran = RUNNER.invoke(app, ["convert", str(tmp_path / "in.json"), str(tmp_path / "out.csv"), "-o", "newline=lf"])

    assert (ran.exit_code, (tmp_path / "out.csv").read_text()) == (0, "a,b.c\n1,x\n,\n")
    assert "kind_as_text /0/a" in ran.stderr
    assert "null_as_text /1/a" in ran.stderr


def test_reads_standard_input_and_writes_standard_output() -> None:
    ran = RUNNER.invoke(app, ["convert", "-", "-", "--from", "yaml", "--to", "json"], input="a: [1, yes]\n")

    assert (ran.exit_code, ran.stdout) == (0, '{"a":[1,"yes"]}')


def test_reports_as_json(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a\n1\n")

    ran = RUNNER.invoke(app, ["convert", str(tmp_path / "in.csv"), str(tmp_path / "out.json"), "--json"])

    assert json.loads(ran.stdout) == {"losses": {}, "first": [], "notes": {"charset": "utf-8"}}


def test_leaves_nothing_and_changes_nothing_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text("[" + '{"a":1},' * 200_000 + "x]")
    (tmp_path / "out.csv").write_text("former")

    ran = RUNNER.invoke(app, ["convert", str(tmp_path / "in.json"), str(tmp_path / "out.csv")])

    assert ran.exit_code == 1
    assert "bad_json" in ran.stderr
    assert {each.name: each.read_text()[:6] for each in tmp_path.glob("*.csv")} == {"out.csv": "former"}
    assert len(list(tmp_path.iterdir())) == 2


def test_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    for arguments in (
        ["convert", str(tmp_path / "none.json"), "-", "--to", "csv"],
        ["convert", "-", "-", "--from", "json", "--to", "docx"],
        ["convert", "-", str(tmp_path / "out")],
        ["convert", "-", "-", "--from", "json", "--to", "csv", "-o", "nope=1"],
        ["convert", "-", "-", "--from", "json", "--to", "csv", "-o", "nope"],
        ["convert", "-", str(tmp_path / "nowhere" / "out.csv"), "--from", "json"],
    ):
        ran = RUNNER.invoke(app, arguments, input="[]")

        assert ran.exit_code == 1, arguments
        assert len(ran.stderr.splitlines()) == 1, ran.stderr
