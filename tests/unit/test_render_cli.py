"""`headwater render`, as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pypdf
import pytest
from typer.testing import CliRunner

from headwater.cli import app
from tests.unit.rendered import png, source

RUNNER = CliRunner()
GOOD = source({"type": "paragraph", "text": "Hello {{name}}"}, data={"name": "you"})
BAD = source({"type": "nope"}, {"type": "heading", "text": "x"})


@pytest.mark.parametrize(("name", "begins"), [("out.pdf", b"%PDF"), ("out.docx", b"PK"), ("out.XLSX", b"PK")])
def test_renders_by_the_name_of_the_file(tmp_path: Path, name: str, begins: bytes) -> None:
    (tmp_path / "in.json").write_bytes(GOOD)

    ran = RUNNER.invoke(app, ["render", str(tmp_path / "in.json"), str(tmp_path / name)])

    assert (ran.exit_code, (tmp_path / name).read_bytes()[: len(begins)]) == (0, begins)


def test_check_tells_all_problems_and_writes_nothing(tmp_path: Path) -> None:
    ran = RUNNER.invoke(app, ["render", "--check", "--json", "-"], input=BAD)

    assert ran.exit_code == 1
    assert [each["pointer"] for each in json.loads(ran.stdout)["problems"]] == ["/body/0/type", "/body/1"]
    assert RUNNER.invoke(app, ["render", "--check", "-"], input=GOOD).exit_code == 0


def test_rows_follow_a_document_in_a_file_of_lines_or_where_that_is_said(tmp_path: Path) -> None:
    table = {"type": "table", "columns": [{"value": {"path": "r"}}], "rows": {"$stream": "r", "as": "r"}}
    (tmp_path / "in.ndjson").write_bytes(source(table) + b'\n"one"\n"two"\n')

    made = RUNNER.invoke(app, ["render", str(tmp_path / "in.ndjson"), str(tmp_path / "a.docx")])
    piped = RUNNER.invoke(
        app, ["render", "--ndjson", "-", str(tmp_path / "b.docx")], input=(tmp_path / "in.ndjson").read_bytes()
    )
    (tmp_path / "bad.jsonl").write_bytes(source(table) + b"\n{\n")
    bad = RUNNER.invoke(app, ["render", "--check", str(tmp_path / "bad.jsonl")])
    filled = RUNNER.invoke(app, ["render", "--ndjson", "--template", "x", "-", str(tmp_path / "c.pdf")])

    assert (made.exit_code, piped.exit_code, bad.exit_code, filled.exit_code) == (0, 0, 1, 1)
    assert (tmp_path / "a.docx").read_bytes() == (tmp_path / "b.docx").read_bytes()
    assert "line 2" in bad.stderr


def test_stored_assets_are_files_here(tmp_path: Path) -> None:
    document = source({"type": "image", "alt": "", "asset": "logo"}, assets={"logo": {"stored": "acme@2"}})
    rows = {"type": "table", "columns": [{"value": {"path": "r"}}], "rows": {"$stream": "r", "as": "r"}}
    lines = source(json.loads(document)["body"][0], rows, assets={"logo": {"stored": "acme@2"}}) + b'\n"one"\n'
    (tmp_path / "logo.png").write_bytes(png(3, 2))
    given = ["--asset", f"acme@2={tmp_path / 'logo.png'}"]

    def ran(*arguments: str, document: bytes = document) -> int:
        return RUNNER.invoke(app, ["render", *arguments], input=document).exit_code

    assert ran(*given, "-", str(tmp_path / "out.pdf")) == 0
    assert ran(*given, "--check", "-") == 0
    assert ran(*given, "--ndjson", "-", str(tmp_path / "lines.pdf"), document=lines) == 0
    for name in ("out.pdf", "lines.pdf"):
        assert [image.name for image in pypdf.PdfReader(tmp_path / name).pages[0].images]
    assert ran("--check", "-") == 1
    assert ran("--asset", "acme@2", "-", str(tmp_path / "no.pdf")) == 1
    assert not (tmp_path / "no.pdf").exists()


def test_leaves_a_former_file_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "out.pdf").write_text("former")

    ran = RUNNER.invoke(app, ["render", "-", str(tmp_path / "out.pdf")], input=BAD)

    assert (ran.exit_code, (tmp_path / "out.pdf").read_text(), len(list(tmp_path.iterdir()))) == (1, "former", 1)
    assert "/body/0/type: not_allowed" in ran.stderr


@pytest.mark.parametrize(
    "words", [["-", "out.txt"], ["-"], ["--check", "-", "out.pdf"], ["none.json", "out.pdf"]], ids=" ".join
)
def test_says_in_one_line_what_is_wrong(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    ran = RUNNER.invoke(app, ["render", *words], input=GOOD)

    assert (ran.exit_code, len(ran.stderr.splitlines())) == (1, 1), ran.stderr


def test_ends_after_so_much_processor_time_and_leaves_nothing(tmp_path: Path) -> None:
    loops: dict[str, Any] = {"type": "repeat", "each": "l", "as": "a", "body": []}
    for name in "bcd":
        loops = {**loops, "as": name, "body": [loops]}
    (tmp_path / "in.json").write_bytes(source(loops, data={"l": list(range(300))}))

    # A process of its own: ended in the middle of coverage's code, this one would keep a lock of it for ever.
    words = ("--seconds", "1", str(tmp_path / "in.json"), str(tmp_path / "out.pdf"))
    ran = subprocess.run(
        (sys.executable, "-m", "headwater", "render", *words), capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stderr) == (1, "headwater: limit_exceeded: more than 1 cpu seconds\n")
    assert [each.name for each in tmp_path.iterdir()] == ["in.json"]


def test_prints_the_schema() -> None:
    assert json.loads(RUNNER.invoke(app, ["document-schema"]).stdout)["title"] == "Headwater Document 1.0"
