"""Many records as columns: what they have at one name is found and looked at together, in loops of the interpreter's own.

It is the quick way of what `Flattener` does record by record, and gives the same or declines: for records that are not alike.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

from bounded_contexts.documents.domain.flattening import Flattener
from bounded_contexts.documents.domain.values import Value

SPARSE: Final = 8  # times as many cells as there are values: records that unlike each other go one by one


class Missing:
    """The kind of what a record does not have at a name."""


MISSING: Final = Missing()
Column = tuple[Sequence[Value], frozenset[type]]  # a value or `MISSING` for each record, and their types


class Declined(Exception):
    """The records are to be taken one by one."""


def spread(records: Sequence[Value], flattener: Flattener, *, are_flat: bool) -> dict[str, Column]:
    """Return name → values of records that are maps, or lists, all of them. Names are in no order that means anything.

    Raise `Declined`. With `are_flat` keys are names already."""
    kinds = set(map(type, records))
    if not all(records):
        raise Declined
    spreading = _Spreading(flattener, are_flat=are_flat)
    if kinds == {dict}:
        spreading.maps(records, None, 1)
    elif kinds == {list}:
        spreading.lists(records, "", 1)
    else:
        raise Declined
    return spreading.found


class _Spreading:
    def __init__(self, flattener: Flattener, *, are_flat: bool) -> None:
        self.found: dict[str, Column] = {}
        self._flattener = flattener
        self._are_flat = are_flat

    def maps(self, maps: Sequence[Value], prefix: str | None, depth: int) -> None:
        """Add what is in the maps; an empty one has nothing."""
        first = tuple(maps[0])
        if set(map(type, first)) <= {str} and len(set(map(tuple, maps))) == 1:
            columns: Iterable[Sequence[Value]] = zip(*map(dict.values, maps), strict=True)
            keys: Iterable[Value] = first
        else:
            keys = dict.fromkeys(chain.from_iterable(maps))
            if not set(map(type, keys)) <= {str} or len(keys) * len(maps) > SPARSE * sum(map(len, maps)):
                raise Declined
            columns = ([each.get(key, MISSING) for each in maps] for key in keys)
        for key, values in zip(keys, columns, strict=True):
            name = key if self._are_flat else self._flattener.name(prefix, key)
            self._add(name, values, depth)

    def lists(self, lists: Sequence[Value], prefix: str, depth: int) -> None:
        """Add what is in the lists; an empty one has nothing."""
        lengths = set(map(len, lists))
        longest = max(lengths)
        if len(lengths) == 1:
            columns: Iterable[Sequence[Value]] = zip(*lists, strict=True)
        elif longest * len(lists) > SPARSE * sum(map(len, lists)):
            raise Declined
        else:
            columns = ([each[at] if at < len(each) else MISSING for each in lists] for at in range(longest))
        for index, values in enumerate(columns):
            self._add(f"{prefix}[{index}]", values, depth)

    def _add(self, name: str, values: Sequence[Value], depth: int) -> None:
        kinds = frozenset(map(type, values))
        if name in self.found:
            raise Declined
        if not self._are_flat and (dict in kinds or list in kinds):
            self._add_inner(name, values, kinds, depth)
        else:
            self.found[name] = values, kinds

    def _add_inner(self, name: str, values: Sequence[Value], kinds: frozenset[type], depth: int) -> None:
        if depth >= self._flattener.depth:
            raise Declined
        for kind, add in ((dict, self.maps), (list, self.lists)):
            if kind in kinds:
                inner = values if len(kinds) == 1 else [each if type(each) is kind else kind() for each in values]
                if any(inner):
                    add(inner, name, depth + 1)
        if len(kinds) > 1 or not all(values):
            leaves = [MISSING if (type(each) is dict or type(each) is list) and each else each for each in values]
            found = frozenset(map(type, leaves))
            if found != {Missing}:
                self.found[name] = leaves, found
