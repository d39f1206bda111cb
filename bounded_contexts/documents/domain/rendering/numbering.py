"""How the items of a list are counted, as word processors count."""

from typing import Final, Literal

NumberFormat = Literal["decimal", "lowerLetter", "upperLetter", "lowerRoman", "upperRoman"]
FORMATS: Final[tuple[NumberFormat, ...]] = ("decimal", "lowerLetter", "upperLetter", "lowerRoman", "upperRoman")
_LETTERS: Final = 26
_MOST: Final = {"Letter": 20 * _LETTERS, "Roman": 3_999}  # that are counted so; the rest is in digits
_ROMAN: Final = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)


def counted(number: int, form: NumberFormat) -> str:
    """Return a number in a format. Behind z comes aa, then bb; there is no nought in letters or Roman numbers."""
    if form == "decimal" or not 1 <= number <= _MOST[form[5:]]:
        return str(number)
    text = _letters(number) if form.endswith("Letter") else _roman(number)
    return text.upper() if form.startswith("upper") else text


def _letters(number: int) -> str:
    times, letter = divmod(number - 1, _LETTERS)
    return chr(ord("a") + letter) * (times + 1)


def _roman(number: int) -> str:
    found = ""
    for value, text in _ROMAN:
        times, number = divmod(number, value)
        found += text * times
    return found
