"""DOCX and XLSX with every block, opened and converted by LibreOffice: `make office`, where it is installed.

It is not part of the suite: half a gigabyte of programs, and ten seconds. What is looked at: that it converts without a word of
complaint, that texts are on its pages, and that it works formulas out as we do, once what we say they give is taken away.
"""

import io
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pypdf

from bounded_contexts.documents.adapters.engines.rendering import Rendering, render
from bounded_contexts.documents.domain.rendering.charts import KINDS
from bounded_contexts.documents.domain.rendering.fidelity import Target
from tests.unit.rendered import source
from tests.unit.test_rendering_barcodes import CODES
from tests.unit.test_rendering_charts import MONTHS, chart, scatter
from tests.unit.test_rendering_formulas import COLUMNS, LINES
from tests.unit.test_rendering_formulas import GIVEN as FORMULAS
from tests.unit.test_rendering_images import LOGO, SHADED, shown, webp
from tests.unit.test_rendering_sheet_blocks import DATA, SHEET
from tests.unit.test_rendering_sheets import COLUMNS as TYPED
from tests.unit.test_rendering_sheets import OWN
from tests.unit.test_rendering_targets import ALL

PROGRAM = "soffice"
SECONDS = 180
# what LibreOffice does otherwise than Excel, which formulas follow here
OTHERWISE = ('="a"&1&TRUE', "=SQRT(-1)", "=9^400*9^400*9^400", "=0^0")
NO_JAVA = "javaldx"  # said where there is none, whatever the file
GIVEN = re.compile(r"(<f>[^<]*</f>)<v>[^<]*</v>")


def document() -> bytes:
    """Return a document with every block."""
    found = json.loads(ALL)
    body, data = found.pop("body"), found.pop("data")
    images = [json.loads(shown(*each, caption="Figure"))["body"][0] for each in _images()]
    codes = [
        {"type": "barcode", "symbology": name.split(" ")[0], "value": value, "alt": name, **more}
        for name, (value, _, _, more) in CODES.items()
    ]
    charts = [scatter() if kind == "scatter" else chart(kind, title=f"A {kind}", labels=True) for kind in KINDS]
    formulas = {"type": "table", "columns": COLUMNS, "rows": {"each": "priced", "as": "l"}, "xlsx": {"table": True}}
    typed = {"type": "table", "columns": TYPED, "rows": [["Pump", 2, None, 1]], "xlsx": OWN}
    alone = [text for text, _ in FORMULAS if not re.search(r"\[@|[AB]\$?1", text) and text not in OTHERWISE]
    functions = {"type": "sheet", "cells": {f"A{row}": {"formula": text} for row, text in enumerate(alone, 1)}}
    toc = {"type": "toc", "title": "Contents"}
    data |= {"priced": LINES, "months": MONTHS, **DATA}
    return source(toc, *body, *images, *codes, *charts, formulas, typed, SHEET, functions, data=data, **found)


def _images() -> list[tuple[bytes, str]]:
    return [(LOGO, "svg+xml"), (SHADED, "svg+xml"), (webp("RGBA"), "webp")]


def converted(path: Path, ending: str) -> Path:
    """Return the file that LibreOffice makes of one. Raise `RuntimeError` for a word of complaint, or none."""
    folder = path.parent / "made"
    command = [PROGRAM, "--headless", f"-env:UserInstallation=file://{path.parent}/profile", "--convert-to", ending]
    done = subprocess.run(
        [*command, "--outdir", folder, path], capture_output=True, text=True, timeout=SECONDS, check=True
    )
    out = folder / f"{path.stem}.{ending}"
    complaints = [line for line in done.stderr.splitlines() if line.strip() and NO_JAVA not in line]
    if complaints or not out.exists():
        raise RuntimeError(f"{path.name}: {complaints or done.stdout}")
    return out


def without_values(workbook: bytes) -> bytes:
    """Return a workbook whose formulas do not say what they give."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            part = before.read(name)
            if name.startswith("xl/worksheets/sheet"):
                part = GIVEN.sub(r"\1", part.decode()).encode()
            after.writestr(name, part)
    return out.getvalue()


def values(workbook: bytes) -> dict[str, Any]:
    """Return what all formulas of a workbook give, by sheet and cell."""
    formulas = openpyxl.load_workbook(io.BytesIO(workbook))
    found = openpyxl.load_workbook(io.BytesIO(workbook), data_only=True)
    return {
        f"{sheet.title}!{cell.coordinate}": found[sheet.title][cell.coordinate].value
        for sheet in formulas.worksheets
        for row in sheet.iter_rows()
        for cell in row
        if cell.data_type == "f" and "TODAY" not in str(cell.value) and "!" not in str(cell.value)
    }


def is_same(value: Any, other: Any) -> bool:
    """Return whether two values are one, but for the last digits of a binary number."""
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=1e-14)
    return bool(value == other)


def main() -> None:
    """Convert both, and say what was seen."""
    if shutil.which(PROGRAM) is None:
        sys.exit(f"{PROGRAM} is not installed: apt-get install libreoffice-writer-nogui libreoffice-calc-nogui")
    targets: tuple[Target, ...] = ("docx", "xlsx")
    with tempfile.TemporaryDirectory() as folder:
        for target in targets:
            path = Path(folder) / f"all.{target}"
            path.write_bytes(b"".join(render(document(), target, Rendering())))
            read = pypdf.PdfReader(converted(path, "pdf"))
            text = "\n".join([page.extract_text() for page in read.pages])
            missing = [
                each for each in ("First", "Plain bold here", "Wide", "A combined", "Offer 7") if each not in text
            ]
            if missing:
                sys.exit(f"{path.name}: {', '.join(missing)} not seen")
            print(f"{path.name}: {len(read.pages)} pages, nothing to complain of")
        ours = path.read_bytes()
        bare = Path(folder) / "bare.xlsx"
        bare.write_bytes(without_values(ours))
        theirs = values(converted(bare, "xlsx").read_bytes())
    wrong = {name: (value, theirs[name]) for name, value in values(ours).items() if not is_same(value, theirs[name])}
    if wrong:
        sys.exit(f"formulas give something else: {wrong}")
    print(f"all.xlsx: {len(theirs)} formulas give what we say they do")


if __name__ == "__main__":
    main()
