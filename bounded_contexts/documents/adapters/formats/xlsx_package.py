"""The packages that workbooks are (ECMA-376, part 2), and what sheets share in one.

What a package claims of itself is looked at before anything is inflated, and counted while it is."""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final
from xml.parsers import expat

from bounded_contexts.documents.adapters.formats.conversion import CHUNK
from bounded_contexts.documents.adapters.formats.xlsx_cells import Area, area_of
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, quoted
from bounded_contexts.documents.domain.limits import Limits

ENTRIES: Final = 10_000
LOCAL_HEADER: Final = 30  # bytes before a part, at least
OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # begins what is encrypted, and what is older than packages
BUILT_IN: Final = {  # codes of number formats that a workbook does not spell out (part 1, 18.8.30)
    **dict.fromkeys((*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)), "y"),
    46: "[h]:mm:ss",
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    **dict.fromkeys((37, 38), "#,##0;(#,##0)"),
    **dict.fromkeys((39, 40), "#,##0.00;(#,##0.00)"),
}
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
_ESCAPED = re.compile(r"_x(?![dD][89a-fA-F])([0-9A-Fa-f]{4})_")  # of no half of a surrogate pair


@dataclass(slots=True)
class Styles:
    """What the numbers of styles mean."""

    codes: list[str] = field(default_factory=list)  # of their number formats; empty: general
    dates: frozenset[int] = frozenset()
    elapsed: frozenset[int] = frozenset()  # that show hours beyond a day


@dataclass(frozen=True, slots=True)
class SheetPart:
    """One sheet and where it is packed."""

    name: str
    part: str
    hidden: bool


class Workbook:
    """A package that holds sheets. Raises `Unreadable` and `TooLarge`."""

    def __init__(self, spool: IO[bytes], limits: Limits) -> None:
        self.spool = spool
        self._limits = limits
        spool.seek(0)
        if spool.read(len(OLE)) == OLE:
            raise Unreadable("encrypted", "the workbook is encrypted, or of a format before 2007")
        self.package = zipfile.ZipFile(spool)
        check_package(self.package, limits)
        # Names are told apart by their letters only, and some programs write other slashes.
        self._parts = {entry.filename.replace("\\", "/").lower(): entry for entry in self.package.infolist()}
        self._main = self._main_part()
        self._folder = posixpath.dirname(self._main)
        self._kinds: dict[str, str] = {}  # of parts that the workbook names → where they are
        self.from_1904 = False
        self.sheets: list[SheetPart] = []
        self._find_sheets()
        self.texts = self._shared()
        self.styles = self._styles()

    def _find_sheets(self) -> None:
        targets = self._relations(self._main)

        def sheet(tag: str, given: dict[str, str]) -> None:
            if tag == "sheet" and (target := targets.get(given.get("id", ""))):
                hidden = given.get("state", "visible") != "visible"
                self.sheets.append(SheetPart(given.get("name", ""), self._joined(target), hidden))
            if tag == "workbookPr" and given.get("date1904") in ("1", "true"):
                self.from_1904 = True

        self.walk(self._main, sheet)

    def _main_part(self) -> str:
        found: list[str] = []

        def relation(tag: str, given: dict[str, str]) -> None:
            if tag == "Relationship" and given.get("Type", "").endswith("/officeDocument"):
                found.append(given.get("Target", "").lstrip("/"))

        if "_rels/.rels" in self._parts:
            self.walk("_rels/.rels", relation)
        return found[0] if found else "xl/workbook.xml"

    def _joined(self, target: str) -> str:
        return posixpath.normpath(posixpath.join("/", self._folder, target)).lstrip("/")

    def _beside(self, kind: str) -> str | None:
        """Return the part of that kind which the workbook has, if any."""
        found = [self._joined(target) for name, target in self._kinds.items() if name == kind]
        found.append(f"{self._folder}/{kind}.xml".lstrip("/"))
        return next((part for part in found if part.lower() in self._parts), None)

    def _relations(self, part: str, *, outward: bool = False) -> dict[str, str]:
        found: dict[str, str] = {}

        def relation(tag: str, given: dict[str, str]) -> None:
            if tag == "Relationship" and (given.get("TargetMode") == "External") == outward:
                found[given.get("Id", "")] = given.get("Target", "")
                if part == self._main:
                    self._kinds[posixpath.basename(given.get("Type", ""))] = given.get("Target", "")

        folder, _, name = part.rpartition("/")
        path = f"{folder}/_rels/{name}.rels".lstrip("/")
        if not outward or path.lower() in self._parts:
            self.walk(path, relation)
        return found

    def _shared(self) -> list[str]:
        name = self._beside("sharedStrings")
        if name is None:
            return []
        if self._parts[name.lower()].file_size > self._limits.shared_bytes:
            raise TooLarge("shared_bytes", self._limits.shared_bytes)
        texts: list[str] = []
        parts: list[str] = []
        state = {"in_text": False, "phonetic": 0}

        def start(tag: str, _: dict[str, str]) -> None:
            if tag == "si":
                parts.clear()
            state["in_text"] = tag == "t" and not state["phonetic"]
            state["phonetic"] += tag == "rPh"

        def end(tag: str) -> None:
            state["in_text"] = False
            state["phonetic"] -= tag == "rPh"
            if tag == "si":
                texts.append(unescaped("".join(parts)))

        def data(text: str) -> None:
            if state["in_text"]:
                parts.append(text)

        self.walk(name, start, end, data)
        return texts

    def _styles(self) -> Styles:
        name = self._beside("styles")
        if name is None:
            return Styles()
        codes: dict[int, str] = dict(BUILT_IN)
        found: list[str] = []
        within = [""]

        def start(tag: str, given: dict[str, str]) -> None:
            if tag in ("cellXfs", "cellStyleXfs"):
                within[0] = tag
            elif tag == "numFmt":
                codes[int(given.get("numFmtId", 0))] = given.get("formatCode", "")
            elif tag == "xf" and within[0] == "cellXfs":
                found.append(codes.get(int(given.get("numFmtId", 0)), ""))

        self.walk(name, start)
        elapsed = frozenset(style for style, code in enumerate(found) if _ELAPSED.search(code.split(";")[0]))
        return Styles(found, frozenset(s for s, code in enumerate(found) if _shows_date(code)) - elapsed, elapsed)

    def merged(self, sheet: SheetPart) -> list[Area]:
        """Return the areas that are merged into one cell each: they stand behind all rows."""
        found: list[Area] = []

        def start(tag: str, given: dict[str, str]) -> None:
            if tag == "mergeCell":
                found.append(area_of(given.get("ref", "")))

        self.walk(sheet.part, start)
        return found

    def links(self, sheet: SheetPart) -> list[tuple[Area, str]]:
        """Return the areas that lead elsewhere, and where: an address, or `#` and a place in the workbook."""
        targets = self._relations(sheet.part, outward=True)
        found: list[tuple[Area, str]] = []

        def start(tag: str, given: dict[str, str]) -> None:
            if tag == "hyperlink":
                location = f"#{given['location']}" if "location" in given else ""
                found.append((area_of(given.get("ref", "")), targets.get(given.get("id", ""), "") + location))

        self.walk(sheet.part, start)
        return found

    def walk(self, name: str, start: Any, end: Any = None, data: Any = None) -> None:
        """Parse a part of the package."""
        parser = parser_of(start, end, data)
        for piece in self.inflated(name):
            parser.Parse(piece, False)
        parser.Parse(b"", True)

    def inflated(self, name: str) -> Iterator[bytes]:
        """Yield a part of the package."""
        total = 0
        entry = self._parts.get(name.lower())
        if entry is None:
            raise Unreadable("bad_xlsx", f"the package lacks {quoted(name)}")
        with self.package.open(entry) as part:
            while piece := part.read(CHUNK):
                total += len(piece)
                if total > self._limits.inflated_bytes or total > entry.file_size:
                    raise TooLarge("inflated_bytes", self._limits.inflated_bytes)
                yield piece


def check_package(package: zipfile.ZipFile, limits: Limits) -> None:
    """Raise `TooLarge` or `Unreadable` for a package that claims more than may be inflated, or whose parts overlap."""
    entries = package.infolist()
    if len(entries) > ENTRIES or len({entry.filename for entry in entries}) < len(entries):
        raise Unreadable("bad_xlsx", "a package of too many parts, or of two with one name")
    if sum(entry.file_size for entry in entries) > limits.inflated_bytes:
        raise TooLarge("inflated_bytes", limits.inflated_bytes)
    if any(
        entry.file_size > (1 << 20) and entry.file_size > limits.inflation_ratio * entry.compress_size
        for entry in entries
    ):
        raise TooLarge("inflation_ratio", limits.inflation_ratio)
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable("encrypted", "the package is encrypted")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise Unreadable("bad_xlsx", "parts of a package are stored or deflated")
    ends = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < ends:
            raise Unreadable("bad_xlsx", "parts of the package overlap")
        ends = entry.header_offset + LOCAL_HEADER + entry.compress_size


def parser_of(start: Any, end: Any, data: Any) -> Any:
    """Return a parser that calls these with names as they are without namespaces, and refuses document types."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _no_doctype
    parser.StartElementHandler = lambda tag, given: start(
        tag.rpartition(" ")[2], {name.rpartition(" ")[2]: value for name, value in given.items()}
    )
    if end:
        parser.EndElementHandler = lambda tag: end(tag.rpartition(" ")[2])
    if data:
        parser.CharacterDataHandler = data
    return parser


def _no_doctype(*_: object) -> None:
    raise Unreadable("dtd_not_allowed", "a document type may not stand in a workbook")


def _shows_date(code: str) -> bool:
    return bool(re.search(r"[ymdhs]", _QUOTED.sub("", code.split(";")[0]).lower().replace("general", "")))


def unescaped(text: str) -> str:
    """Return a text as it was before characters that XML lacks were escaped."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text
