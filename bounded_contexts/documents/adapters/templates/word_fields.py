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
_WORDS = re.compile(r'\\\w|"[^"]*"?|[^\s"\\]+|\\')
_TAKING: Final = ("\\l", "\\o", "\\t")  # switches of a link that a text follows
_FIELDS: Final = (f"{WORD}fldChar", f"{WORD}instrText", f"{WORD}delInstrText")
_VML: Final = "{urn:schemas-microsoft-com:vml}"


def check(root: Any, name: str) -> None:
    """Raise `Unreadable` for a field that is not allowed, or whose name or address other fields would make, for shapes that lead
    to files, chunks of other formats, and letters that are filled in out of a database."""
    if any(root.find(f".//{WORD}{each}") is not None for each in ("altChunk", "object", "mailMerge")):
        raise Unreadable("not_allowed_part", f"{name[-60:]!r} embeds or reads what is no part of a document")
    _check_shapes(root, name)
    for field in root.iter(f"{WORD}fldSimple"):
        _check_code(field.get(f"{WORD}instr", ""), name)
    codes = _Codes(name)
    for node in root.iter(*_FIELDS):
        if node.tag == f"{WORD}fldChar":
            codes.mark(node.get(f"{WORD}fldCharType"))
        else:
            codes.text(node.text or "")
    codes.end()


def _check_shapes(root: Any, name: str) -> None:
    for shape in root.iter(f"{_VML}*"):
        link, source = shape.get("href", "#"), shape.get("src", "")
        if source or not (link.startswith("#") or scheme_of(link)):
            raise Unreadable("not_allowed_part", f"{name[-60:]!r} has a shape that leads to a file")


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
            if self._open and (code := self._open[-1]) is not None and not _may_hold_fields(code):
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
    if match[1].upper() == "HYPERLINK" and not all(scheme_of(each) for each in _addresses(code[match.end() :])):
        raise Unreadable("not_allowed_part", f"{name[-60:]!r} links to what is neither http, https, mailto nor tel")


def _may_hold_fields(code: str) -> bool:
    match = _NAME.match(code)
    return match is not None and match[1].upper() != "HYPERLINK"


def _addresses(code: str) -> list[str]:
    """Return what a link says that is neither a switch nor the text of one."""
    words = _WORDS.findall(code)
    return [
        word.strip('"')
        for before, word in zip(["", *words], words, strict=False)
        if not word.startswith("\\") and before.lower() not in _TAKING
    ]
