"""How large a GraphQL operation may be. It is measured before it is validated, which takes time that grows with its square."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SchemaMetaFieldDef,
    SelectionSetNode,
    TypeMetaFieldDef,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_introspection_type,
    is_list_type,
)

from infra.graph import FIRST, MOST
from shared_kernel.errors import Refused

TOKENS = 2_000  # of a document
SELECTIONS = 200  # fields, and uses of fragments, that a document has
FRAGMENTS = 20
ALIASES = 50
DEPTH = 12  # of fields in fields; introspection has a limit of its own
ROOTS = 20  # fields of an operation at its top
COST = 5_000  # fields that an answer may have, as far as can be said beforehand
INTROSPECTION_COST = 1_000  # what asking for the schema counts as
INTROSPECTED = (
    200_000  # fields that it may return, by the factors below; what tools send has 140,000, and 3,000 in truth
)
LENGTHS = {
    "types": 100,
    "fields": 8,
    "inputFields": 5,
    "enumValues": 5,
    "args": 3,
    "directives": 5,
}  # in a schema like ours
COST_OF_A_REQUEST = 250  # an operation counts as so many requests as it has this


@dataclass(frozen=True, slots=True)
class Size:
    cost: int
    depth: int


def weight(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> int:
    """Return how many requests the operation counts as. Raise `Refused` for one that is too large."""
    _require(document)
    measure = _Measure(schema, document, variables)
    roots = measure.roots(operation.selection_set, frozenset())
    if roots > ROOTS:
        raise _too_large(f"{roots} fields at the top; {ROOTS} are allowed")
    size = measure.size(operation.selection_set, schema.get_root_type(operation.operation), frozenset())
    if size.depth > DEPTH:
        raise _too_large(f"{size.depth} fields deep; {DEPTH} are allowed")
    if size.cost > COST:
        raise _too_large(f"it may return {size.cost} fields; {COST} are allowed: ask for fewer by `first`")
    return max(roots, ceil(size.cost / COST_OF_A_REQUEST))


def _require(document: DocumentNode) -> None:
    """Count without following fragments: a document of this size is quickly looked at, whatever it says."""
    fragments = sum(isinstance(each, FragmentDefinitionNode) for each in document.definitions)
    selections = aliases = 0
    waiting = [
        each.selection_set
        for each in document.definitions
        if isinstance(each, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    while waiting:
        for selection in waiting.pop().selections:
            selections += 1
            if isinstance(selection, FieldNode):
                aliases += selection.alias is not None
            if isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set:
                waiting.append(selection.selection_set)
    for count, most, what in (
        (fragments, FRAGMENTS, "fragments"),
        (selections, SELECTIONS, "fields and uses of fragments"),
        (aliases, ALIASES, "aliases"),
    ):
        if count > most:
            raise _too_large(f"{count} {what}; {most} are allowed")


class _Measure:
    """Sizes with fragments followed. A fragment is measured once for each type it is looked at as: its uses may be exponentially
    many. One that leads back to itself counts as nothing there; validation refuses it."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._variables = variables
        self._fragments = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._sizes: dict[str, Size] = {}
        self._roots: dict[str, int] = {}

    def roots(self, selections: SelectionSetNode, inside: frozenset[str]) -> int:
        count = 0
        for each in selections.selections:
            match each:
                case FieldNode():
                    count += 1
                case InlineFragmentNode():
                    count += self.roots(each.selection_set, inside)
                case FragmentSpreadNode() if fragment := self._opened(each, inside):
                    name = each.name.value
                    if name not in self._roots:
                        self._roots[name] = self.roots(fragment.selection_set, inside | {name})
                    count += self._roots[name]
        return count

    def size(self, selections: SelectionSetNode, of: GraphQLNamedType | None, inside: frozenset[str]) -> Size:
        sizes = [self._size_of(each, of, inside) for each in selections.selections]
        return Size(sum(each.cost for each in sizes), max((each.depth for each in sizes), default=0))

    def _size_of(self, selection: Any, of: GraphQLNamedType | None, inside: frozenset[str]) -> Size:
        match selection:
            case FieldNode():
                return self._of_field(selection, of, inside)
            case InlineFragmentNode():
                return self.size(selection.selection_set, self._named(selection.type_condition) or of, inside)
            case FragmentSpreadNode() if fragment := self._opened(selection, inside):
                name = selection.name.value
                if name not in self._sizes:
                    type_ = self._named(fragment.type_condition)
                    self._sizes[name] = self.size(fragment.selection_set, type_, inside | {name})
                return self._sizes[name]
        return Size(0, 0)

    def _of_field(self, field: FieldNode, of: GraphQLNamedType | None, inside: frozenset[str]) -> Size:
        name = field.name.value
        is_meta = name in ("__schema", "__type")
        is_below_meta = of is not None and is_introspection_type(of)
        if field.alias and (is_meta or is_below_meta):  # one answer of each, whose size the schema bounds
            raise _too_large("aliases in a question about the schema; none are allowed")
        if is_meta:
            return self._introspection(field, inside)
        known = of.fields.get(name) if isinstance(of, GraphQLObjectType) else None
        if field.selection_set is None:
            return Size(1, 1)
        below = self.size(field.selection_set, get_named_type(known.type) if known else None, inside)
        times = 1
        if is_below_meta:
            times = LENGTHS.get(name, 1)
        elif known and "first" in known.args:
            times = self._first(field)
        elif known and name != "edges" and is_list_type(get_nullable_type(known.type)):
            times = FIRST  # of `edges` there are as many as were asked for; of others nobody has said how many
        return Size(1 + times * below.cost, 1 + below.depth)

    def _introspection(self, field: FieldNode, inside: frozenset[str]) -> Size:
        meta = SchemaMetaFieldDef if field.name.value == "__schema" else TypeMetaFieldDef
        if field.selection_set:
            fields = self.size(field.selection_set, get_named_type(meta.type), inside).cost
            if fields > INTROSPECTED:
                raise _too_large(f"it may return {fields} fields of the schema; {INTROSPECTED} are allowed")
        return Size(INTROSPECTION_COST, 1)

    def _first(self, field: FieldNode) -> int:
        """Return how many are asked for, at most; what is no number here is refused later."""
        given = next((each.value for each in field.arguments or () if each.name.value == "first"), None)
        if given is None:
            return FIRST
        asked: Any = MOST
        if isinstance(given, VariableNode):
            asked = self._variables.get(given.name.value, MOST)
        elif isinstance(given, IntValueNode) and len(given.value) < len(str(MOST)) + 1:
            asked = int(given.value)
        return min(max(asked, 1), MOST) if isinstance(asked, int) else MOST

    def _opened(self, spread: FragmentSpreadNode, inside: frozenset[str]) -> FragmentDefinitionNode | None:
        name = spread.name.value
        return None if name in inside else self._fragments.get(name)

    def _named(self, condition: Any) -> GraphQLNamedType | None:
        return self._schema.get_type(condition.name.value) if condition else None


def _too_large(detail: str) -> Refused:
    return Refused("query_too_large", detail)
