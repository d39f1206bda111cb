"""How cells of a sheet are called, and in which order their formulas are worked out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bounded_contexts.documents.domain.rendering.formulas import Formula

Place = tuple[int, int]  # row and column, from 0
REFERENCES = 2_000_000  # cells that all formulas of a sheet look at together
_CORNER = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


@dataclass(frozen=True, slots=True)
class Area:
    """The cells between two corners, these within."""

    top: int
    left: int
    bottom: int
    right: int

    def __contains__(self, place: object) -> bool:
        match place:
            case (int() as row, int() as column):
                return self.top <= row <= self.bottom and self.left <= column <= self.right
        return False


def place_of(name: str) -> Place:
    """Return the place of a cell such as B2. Raise `ValueError` for what calls none."""
    match = _CORNER.fullmatch(name)
    if match is None or int(match[2]) < 1:
        raise ValueError(name)
    return int(match[2]) - 1, column_of(match[1])


def column_of(letters: str) -> int:
    """Return the number of a column, from 0."""
    number = 0
    for each in letters:
        number = number * 26 + ord(each) - 64
    return number - 1


def area_of(name: str) -> Area:
    """Return the cells of `B2` or `B2:C9`, whichever corners those are. Raise `ValueError`."""
    first, _, last = name.partition(":")
    (row, column), (other_row, other_column) = place_of(first), place_of(last or first)
    rows, columns = sorted((row, other_row)), sorted((column, other_column))
    return Area(rows[0], columns[0], rows[1], columns[1])


def in_order(formulas: Mapping[Place, Formula]) -> list[Place]:
    """Return the places of formulas, each behind those that it looks at. Raise `RecursionError` for a circle and
    `OverflowError` for too many references."""
    waits: dict[Place, int] = {}
    followers: dict[Place, list[Place]] = {}
    work = 0
    for place, formula in formulas.items():
        waits[place] = 0
        for name in formula.areas:
            for each in _among(area_of(name), formulas):
                work += 1
                if work > REFERENCES:
                    raise OverflowError
                waits[place] += 1
                followers.setdefault(each, []).append(place)
    found = [place for place, count in waits.items() if not count]
    for place in found:  # grows while it is walked
        for follower in followers.get(place, ()):
            waits[follower] -= 1
            if not waits[follower]:
                found.append(follower)
    if len(found) < len(formulas):
        raise RecursionError
    return found


def _among(area: Area, formulas: Mapping[Place, Formula]) -> Iterator[Place]:
    if (area.bottom - area.top + 1) * (area.right - area.left + 1) <= len(formulas):
        for row in range(area.top, area.bottom + 1):
            for column in range(area.left, area.right + 1):
                if (row, column) in formulas:
                    yield row, column
    else:
        yield from (place for place in formulas if place in area)
