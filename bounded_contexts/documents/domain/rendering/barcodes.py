"""Barcodes: which there are, what each can say, and what is added to it."""

from dataclasses import dataclass
from typing import Final, Literal

Symbology = Literal["qr", "datamatrix", "pdf417", "code128", "ean13", "ean8", "upca", "itf"]
ErrorCorrection = Literal["L", "M", "Q", "H", "0", "1", "2", "3", "4", "5", "6", "7", "8"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One symbology. `quiet` is the quiet zone its standard asks for, in modules; `digits` is how many it has with its check
    digit, of those that have a length of their own; a symbol is drawn in `width` by `height` points unless a document says
    other."""

    quiet: int
    width: float
    height: float
    is_linear: bool = False
    digits: int = 0
    levels: tuple[ErrorCorrection, ...] = ()


_SIDE: Final = 70.866  # 25 mm
SYMBOLOGIES: Final[dict[Symbology, Kind]] = {
    "qr": Kind(4, _SIDE, _SIDE, levels=("L", "M", "Q", "H")),  # ISO/IEC 18004
    "datamatrix": Kind(2, _SIDE, _SIDE),  # ISO/IEC 16022, ECC 200; 1 would do, and 2 is read more surely
    "pdf417": Kind(2, 170.0, 70.0, levels=("0", "1", "2", "3", "4", "5", "6", "7", "8")),  # ISO/IEC 15438
    "code128": Kind(10, 170.0, 56.7, is_linear=True),  # ISO/IEC 15417
    "ean13": Kind(11, 105.7, 73.5, is_linear=True, digits=13),  # GS1 General Specifications, 5.2
    "ean8": Kind(7, 75.8, 60.4, is_linear=True, digits=8),
    "upca": Kind(9, 105.7, 73.5, is_linear=True, digits=12),
    "itf": Kind(10, 170.0, 56.7, is_linear=True),  # ISO/IEC 16390
}


def complete(symbology: Symbology, value: str) -> str:
    """Return the value with its check digit, where the symbology has one and the value lacks it. Raise `ValueError`, as a
    sentence for people, for what the symbology cannot say."""
    digits = SYMBOLOGIES[symbology].digits
    if digits:
        return _with_check_digit(value, digits)
    if symbology == "itf" and (not _is_number(value) or len(value) % 2):
        raise ValueError("itf holds an even number of digits")
    if symbology == "code128" and not all(" " <= each <= "~" for each in value):
        raise ValueError("code128 holds the printable characters of ASCII")
    if not value:
        raise ValueError(f"{symbology} holds one character at least")
    return value


def _with_check_digit(value: str, digits: int) -> str:
    if not _is_number(value) or len(value) not in (digits - 1, digits):
        raise ValueError(f"a value is {digits - 1} digits, or {digits} with the check digit")
    body = value[: digits - 1]
    check = str(check_digit(body))
    if len(value) == digits and value[-1] != check:
        raise ValueError(f"the check digit is {check}")
    return body + check


def check_digit(digits: str) -> int:
    """Return the check digit of GS1 (General Specifications, 7.9): from the right, digits count 3 and 1 in turns."""
    return -sum((3, 1)[at % 2] * int(each) for at, each in enumerate(reversed(digits))) % 10


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdecimal()
