"""Field codes of DOCX templates: those that show something are kept, those that fetch or run something are refused."""

import re
from typing import Any, Final

from bounded_contexts.documents.adapters.templates.runs import WORD
from bounded_contexts.documents.domain.errors import Unreadable
from bounded_contexts.documents.domain.rendering.styles import scheme_of

# ECMA-376 part 1, 17.16.5, without DATABASE, DDE, DDEAUTO, IMPORT, INCLUDE, INCLUDEPICTURE, INCLUDETEXT, LINK, EMBED, CONTROL,
# MACROBUTTON, GOTOBUTTON, PRINT, RD and those of mail merges that read files.
ALLOWED: Final = frozenset(
    (
        "=",
        "ADVANCE",
        "AUTHOR",
        "AUTONUM",
        "AUTONUMLGL",
        "AUTONUMOUT",
        "BIBLIOGRAPHY",
        "CITATION",
        "COMMENTS",
        "COMPARE",
        "CREATEDATE",
        "DATE",
        "DOCPROPERTY",
        "DOCVARIABLE",
        "EDITTIME",
        "EQ",
        "FILENAME",
        "FILESIZE",
        "FORMCHECKBOX",
        "FORMDROPDOWN",
        "FORMTEXT",
        "FORMULA",
        "HYPERLINK",
        "IF",
        "INDEX",
        "INFO",
        "KEYWORDS",
        "LASTSAVEDBY",
        "LISTNUM",
        "MERGEFIELD",
        "NOTEREF",
        "NUMCHARS",
        "NUMPAGES",
        "NUMWORDS",
        "PAGE",
        "PAGEREF",
        "PRINTDATE",
        "QUOTE",
        "REF",
        "REVNUM",
        "SAVEDATE",
        "SECTION",
        "SECTIONPAGES",
        "SEQ",
        "SET",
        "STYLEREF",
        "SUBJECT",
        "SYMBOL",
        "TA",
        "TC",
        "TIME",
        "TITLE",
        "TOA",
        "TOC",
        "USERADDRESS",
        "USERINITIALS",
        "USERNAME",
        "XE",
    )
)
_NAME = re.compile(r"\s*(=|[A-Za-z]+)")
_ADDRESS = re.compile(r'\s*HYPERLINK\s+(?!\\l)"?([^"\s]+)', re.IGNORECASE)


def check(root: Any, name: str) -> None:
    """Raise `Unreadable` for a field that is not allowed, or whose name other fields would make, and for chunks of other
    formats."""
    if root.find(f".//{WORD}altChunk") is not None or root.find(f".//{WORD}object") is not None:
        raise Unreadable("not_allowed_part", f"{name[-60:]!r} embeds what is no part of a document")
    for field in root.iter(f"{WORD}fldSimple"):
        _check_code(field.get(f"{WORD}instr", ""), name)
    codes = _Codes(name)
    for node in root.iter(f"{WORD}fldChar", f"{WORD}instrText"):
        if node.tag == f"{WORD}instrText":
            codes.text(node.text or "")
        else:
            codes.mark(node.get(f"{WORD}fldCharType"))
    codes.end()


class _Codes:
    """The fields that are open at a place, the outermost first: their codes, None where these have been read."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: list[str | None] = []

    def text(self, text: str) -> None:
        if self._open and (code := self._open[-1]) is not None:
            self._open[-1] = code + text

    def mark(self, kind: str | None) -> None:
        if kind == "begin":
            if self._open and (code := self._open[-1]) is not None and not _NAME.match(code):
                raise Unreadable("not_allowed_part", f"{self._name[-60:]!r} has a field whose name another one makes")
            self._open.append("")
        elif self._open:
            self._read(self._open.pop())
            if kind != "end":
                self._open.append(None)

    def end(self) -> None:
        for code in self._open:
            self._read(code)

    def _read(self, code: str | None) -> None:
        if code is not None:
            _check_code(code, self._name)


def _check_code(code: str, name: str) -> None:
    match = _NAME.match(code)
    if match is None and not code.strip():
        return
    if match is None or match[1].upper() not in ALLOWED:
        raise Unreadable("not_allowed_part", f"{name[-60:]!r} has a field that is not allowed: {code.strip()[:20]!r}")
    address = _ADDRESS.match(code)
    if address and scheme_of(address[1]) is None:
        raise Unreadable("not_allowed_part", f"{name[-60:]!r} links to what is neither http, https, mailto nor tel")
