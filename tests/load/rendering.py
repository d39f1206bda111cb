"""Documents rendered: `headwater render` and `headwater convert` beside libraries that write the same files out of the same rows.

Each run is a process of its own; what a file of few rows takes is left out of rates, since it is start-up."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pypdfium2

from tests.load.converting import took
from tests.load.field import Figures, medians

COMMAND: Final = (sys.executable, "-m", "headwater")
WORDS: Final = [
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetur",
    "adipiscing",
    "elit",
    "sed",
    "do",
    "eiusmod",
    "tempor",
]
TITLES: Final = ("No", "Name", "Quantity", "Price", "Date")
PDFMAKE: Final = """
const fs = require("fs"), path = require("path"), pdfmake = require("pdfmake");
const roboto = path.join(path.dirname(require.resolve("pdfmake/package.json")), "fonts", "Roboto");
const cut = name => path.join(roboto, `Roboto-${name}.ttf`);
pdfmake.setFonts({Roboto: {
  normal: cut("Regular"), bold: cut("Medium"), italics: cut("Italic"), bolditalics: cut("MediumItalic"),
}});
const {titles, rows} = JSON.parse(fs.readFileSync(process.argv[2]));
const body = [titles.map(text => ({text, bold: true})), ...rows.map(row => row.map(String))];
pdfmake.createPdf({
  defaultStyle: {fontSize: 10},
  footer: page => `Page ${page}`,
  content: [{table: {headerRows: 1, widths: [57, "*", 43, 71, 71], body}, layout: "lightHorizontalLines"}],
}).write(process.argv[3]).then(() => {});
"""
PYTHON_DOCX: Final = """
import json, sys
from docx import Document
data = json.load(open(sys.argv[1], encoding="utf-8"))
document = Document()
table = document.add_table(rows=0, cols=len(data["titles"]))
for row in [data["titles"], *data["rows"]]:
    for cell, text in zip(table.add_row()._tr.tc_lst, row):
        cell.p_lst[0].add_r().text = str(text)
document.save(sys.argv[2])
"""
WEASYPRINT: Final = """
import json, sys
from html import escape
from weasyprint import HTML
data = json.load(open(sys.argv[1], encoding="utf-8"))
def row(cells, tag):
    return "<tr>" + "".join([f"<{tag}>{escape(str(each))}</{tag}>" for each in cells]) + "</tr>"
style = (
    "@page {size: A4; margin: 20mm 18mm; @bottom-left {content: 'Page ' counter(page)}}"
    "body {font: 10pt sans-serif} table {width: 100%; table-layout: fixed; border-collapse: collapse}"
    "td, th {border-bottom: 0.5pt solid grey; text-align: left; vertical-align: top}"
)
columns = "".join([f"<col style='width: {each}'>" for each in ("20mm", "auto", "15mm", "25mm", "25mm")])
body = "".join([row(each, "td") for each in data["rows"]])
HTML(string=f"<html lang=en><style>{style}</style><table><colgroup>{columns}</colgroup>"
     f"<thead>{row(data['titles'], 'th')}</thead><tbody>{body}</tbody></table></html>").write_pdf(sys.argv[2])
"""
XLSXWRITER: Final = """
import csv, sys
import xlsxwriter
book = xlsxwriter.Workbook(sys.argv[2], {"constant_memory": True})
sheet = book.add_worksheet()
with open(sys.argv[1], encoding="utf-8", newline="") as rows:
    for number, row in enumerate(csv.reader(rows)):
        for column, text in enumerate(row):
            sheet.write_string(number, column, text)
book.close()
"""
EXCELIZE: Final = """package main

import (
	"bufio"
	"encoding/csv"
	"os"

	"github.com/xuri/excelize/v2"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	in, err := os.Open(os.Args[1])
	check(err)
	book := excelize.NewFile()
	sheet, err := book.NewStreamWriter("Sheet1")
	check(err)
	rows := csv.NewReader(bufio.NewReaderSize(in, 1<<20))
	rows.ReuseRecord = true
	for number := 1; ; number++ {
		row, err := rows.Read()
		if row == nil {
			break
		}
		check(err)
		cells := make([]interface{}, len(row))
		for at, text := range row {
			cells[at] = text
		}
		name, err := excelize.CoordinatesToCellName(1, number)
		check(err)
		check(sheet.SetRow(name, cells))
	}
	check(sheet.Flush())
	check(book.SaveAs(os.Args[2]))
}
"""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another program for the same job. `command` gives what it is called with, None where it is not installed."""

    title: str
    package: str
    goal: float
    command: Callable[[Path], tuple[str, ...] | None]


def rows(count: int) -> Iterator[list[Any]]:
    """Yield rows of five cells; the second is wider than its column."""
    for number in range(count):
        name = f"Item {number} " + " ".join([WORDS[(number + at) % len(WORDS)] for at in range(8)])
        yield [number, name, number % 97, f"{number % 1000}.{number % 100:02d}", "2026-11-21"]


def document(directory: Path, count: int, times: int = 1) -> Path:
    """Write a document with a table of so many rows, so many times, and the same rows for the others; return the document."""
    columns = [
        {"title": title, "width": width, "value": {"path": f"r[{at}]"}}
        for at, (title, width) in enumerate(zip(TITLES, ("20mm", "1fr", "15mm", "25mm", "25mm"), strict=True))
    ]
    footer = {"default": [{"type": "paragraph", "text": ["Page ", {"field": "page"}]}]}
    table = {"type": "table", "columns": columns, "rows": {"each": "rows", "as": "r"}}
    given = list(rows(count))
    path = directory / f"{count}-{times}.json"
    path.write_text(json.dumps({"version": "1.0", "footer": footer, "data": {"rows": given}, "body": [table] * times}))
    path.with_suffix(".rows").write_text(json.dumps({"titles": TITLES, "rows": given}))
    return path


def cells(directory: Path, count: int) -> Path:
    """Write a CSV file of so many rows of ten texts and return it."""
    path = directory / f"{count}.csv"
    with path.open("w", encoding="utf-8") as out:
        for number in range(count):
            out.write(",".join([f"value {number} of {at}" for at in range(10)]) + "\n")
    return path


def ours(target: str, source: Path) -> Figures:
    """Render the document as its users do, or convert a table."""
    out = source.with_suffix(f".ours.{target}")
    verb = (
        ("convert", str(source), str(out), "-o", "header=no")
        if source.suffix == ".csv"
        else ("render", str(source), str(out))
    )
    return took((*COMMAND, *verb), source.with_name("said"))


def theirs(command: tuple[str, ...], target: str, source: Path) -> Figures:
    """Write the same with another program."""
    given = source if source.suffix == ".csv" else source.with_suffix(".rows")
    return took((*command, str(given), str(source.with_suffix(f".theirs.{target}"))), source.with_name("said"))


def compared(target: str, few: Path, many: Path, count: int, command: tuple[str, ...], turns: int) -> list[Figures]:
    """Return the medians of ours and of the other's: rows a second without start-up, MB of memory."""
    sides = [partial(ours, target), partial(theirs, command, target)]
    rounds = [[_net(side(few), side(many), count) for side in sides] for _ in range(turns)]
    return [medians(each) for each in zip(*rounds, strict=True)]


def _net(few: Figures, many: Figures, count: int) -> Figures:
    return {
        "rate": count / max(many["seconds"] - few["seconds"], 1e-3),
        "per_cpu_s": count / max(many["cpu_s"] - few["cpu_s"], 1e-3),
        "memory_mb": many["memory_mb"],
    }


def pages(source: Path) -> int:
    """Return how many pages the PDF of a document has."""
    with pypdfium2.PdfDocument(source.with_suffix(".ours.pdf")) as read:
        return len(read)


def pdfmake(directory: Path) -> tuple[str, ...] | None:
    """Node and a program with pdfmake, which NODE_PATH leads to."""
    if shutil.which("node") is None:
        return None
    if subprocess.run(["node", "-e", 'require("pdfmake")'], capture_output=True, check=False).returncode:
        return None
    (directory / "pdfmake.js").write_text(PDFMAKE)
    return ("node", "--max-old-space-size=8192", str(directory / "pdfmake.js"))


def library(name: str, program: str, directory: Path) -> tuple[str, ...] | None:
    """A program with a library of Python, which may need others of the system."""
    if subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False).returncode:
        return None
    path = directory / f"with_{name}.py"
    path.write_text(program)
    return (sys.executable, str(path))


def excelize(directory: Path) -> tuple[str, ...] | None:
    """A program with excelize's stream writer, built once."""
    go = shutil.which("go")
    if go is None:
        return None
    (directory / "main.go").write_text(EXCELIZE)
    (directory / "go.mod").write_text("module table\n\ngo 1.24\n")
    environment = {**os.environ, "GOFLAGS": "-mod=mod"}
    for words in (["get", "github.com/xuri/excelize/v2"], ["build", "-o", "table", "."]):
        if subprocess.run([go, *words], cwd=directory, env=environment, capture_output=True, check=False).returncode:
            return None
    return (str(directory / "table"),)


PDFMAKE_RIVAL: Final = Rival("pdfmake", "pdfmake (npm, in NODE_PATH)", 4.0, pdfmake)
WEASYPRINT_RIVAL: Final = Rival("WeasyPrint", "weasyprint, with Pango", 4.0, partial(library, "weasyprint", WEASYPRINT))
DOCX_RIVAL: Final = Rival("python-docx", "python-docx", 4.0, partial(library, "docx", PYTHON_DOCX))
XLSXWRITER_RIVAL: Final = Rival("XlsxWriter", "xlsxwriter", 0.8, partial(library, "xlsxwriter", XLSXWRITER))
EXCELIZE_RIVAL: Final = Rival("excelize", "github.com/xuri/excelize/v2 (Go)", 0.8, excelize)


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a directory for the files of a bench."""
    return tempfile.TemporaryDirectory(prefix="headwater-")
