"""One GraphQL schema of every context's part, and what runs operations on it within limits (docs/graphql.md)."""

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import strawberry
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    execute,
    get_operation_ast,
    get_variable_values,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import recommended_rules
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from bounded_contexts.gateway.adapters.query_limits import TOKENS, weight
from infra.access_tokens import User
from infra.graph import Context, Money, Part, Scoped
from infra.http import Moment
from infra.opaque import OpaqueTokens
from infra.problems import of_error, of_validation, problem
from shared_kernel.errors import HeadwaterError, Refused, Unavailable

TEXT_LIMIT = 20_000  # characters
EXECUTE_S = 20.0  # a read may wait for a position, a command for its effect
MOST_ERRORS = 20  # of one document
DESCRIBED = ("code", "status", "errors")  # what of a problem stands in an error's `extensions`

log = structlog.get_logger()
moment: TypeAdapter[datetime] = TypeAdapter(Moment)


def _is_text(variables: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the variables. Raise `ValueError` where half of a surrogate pair is among them, which no event can carry."""
    try:
        msgspec.json.encode(variables)
    except UnicodeEncodeError:
        raise ValueError("lone surrogates are not text") from None
    return variables


class Operation(BaseModel):
    """A GraphQL request. Unknown fields are for other servers."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    query: Annotated[str, Field(min_length=1, max_length=TEXT_LIMIT, examples=["{ me { name } }"])]
    operation_name: Annotated[str | None, Field(alias="operationName", max_length=200)] = None
    variables: Annotated[dict[str, Any] | None, AfterValidator(_is_text)] = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent. `values` are the variables that the operation declares, as it reads them; `weight` is how many requests
    it counts as."""

    document: DocumentNode
    operation: OperationDefinitionNode
    variables: Mapping[str, Any]
    values: Mapping[str, Any]
    weight: int


class Invalid(Exception):
    """The document cannot be run."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__(errors)
        self.errors = errors


class Graph:
    """The merged schema. Raise `RuntimeError` for a field at the top that does not say which scope it takes."""

    def __init__(self, parts: Sequence[Part], tokens: OpaqueTokens) -> None:
        self._tokens = tokens
        self._schema = strawberry.Schema(
            query=merge_types("Query", tuple(each.query for each in parts if each.query)),
            mutation=merge_types("Mutation", tuple(each.mutation for each in parts if each.mutation)),
            subscription=merge_types("Subscription", tuple(each.subscription for each in parts if each.subscription)),
            config=StrawberryConfig(scalar_map={datetime: DATE_TIME, Money: MONEY}),
        )
        self._core = self._schema._schema
        for type_ in (self._core.query_type, self._core.mutation_type):
            for name, field in type_.fields.items() if type_ else ():
                definition = field.extensions["strawberry-definition"]
                if not any(isinstance(each, Scoped) for each in definition.extensions):
                    raise RuntimeError(f"the field {name} of {type_} declares no scope")

    @property
    def sdl(self) -> str:
        """Return the schema in GraphQL's own language."""
        return self._schema.as_str()

    def opened(self, text: str, name: str | None, variables: Mapping[str, Any] | None) -> Request:
        """Return the operation, ready to be run. Raise `Invalid`, or `Refused` for one that is too large."""
        given = variables or {}
        try:
            document = parse(text, max_tokens=TOKENS)
            operation = get_operation_ast(document, name)
            if operation is None:
                raise Invalid([GraphQLError("name one of the document's operations, or send one only")])
            counts = weight(self._core, document, operation, given)
            rules = (*specified_rules, *recommended_rules)
            if found := validate(self._core, document, rules, max_errors=MOST_ERRORS):
                raise Invalid(found)
            # Once more when it is run; a subscription is told now.
            values = get_variable_values(self._core, operation.variable_definitions or (), dict(given), MOST_ERRORS)
            if isinstance(values, list):
                raise Invalid(values)
        except GraphQLSyntaxError as error:
            raise Invalid([error]) from None
        except RecursionError:
            raise Refused("query_too_large", "values in values, too deep") from None
        return Request(document, operation, given, values.coerced, counts)

    async def run(self, request: Request, user: User, request_id: str) -> dict[str, Any]:
        """Return the answer to a query or mutation."""
        if request.operation.operation is OperationType.SUBSCRIPTION:
            return {"errors": errors_of(Refused("wrong_transport", "subscribe over a WebSocket"), request_id)}
        try:
            async with asyncio.timeout(EXECUTE_S):
                result = await self.execute(request, None, Context(user, self._tokens))
        except TimeoutError:
            late = Unavailable("query_timeout", f"not done in {EXECUTE_S:.0f} s; a command may have taken effect")
            return {"errors": errors_of(late, request_id)}
        return answered(result, request_id)

    def subscription(self, payload: Any) -> "Subscription | list[dict[str, Any]]":
        """Return the subscription that a client asks for, or what is wrong with it."""
        request_id = str(uuid4())
        try:
            asked = Operation.model_validate(payload)
            request = self.opened(asked.query, asked.operation_name, asked.variables)
            if request.operation.operation is not OperationType.SUBSCRIPTION:
                raise Refused("wrong_transport", "queries and mutations are sent by POST")
            if request.weight > 1:  # it is run on every event
                raise Refused("query_too_large", f"it counts as {request.weight} requests; a subscription is one")
        except (Invalid, HeadwaterError, ValidationError) as error:
            return errors_of(error, request_id)
        key = (asked.query, asked.operation_name, msgspec.json.encode(request.values, order="sorted"))
        return Subscription(self, request, request_id, key)

    async def execute(self, request: Request, root: object, context: Context | None) -> ExecutionResult:
        """Run the operation."""
        name = request.operation.name
        result = execute(
            self._core,
            request.document,
            root,
            context,
            dict(request.variables),
            name.value if name else None,
        )
        return result if isinstance(result, ExecutionResult) else await result


@dataclass(frozen=True, slots=True)
class Subscription:
    """One operation of one client, run on each event. Who asks is not known to it: others get the answer, too."""

    graph: Graph
    request: Request
    request_id: str
    key: Hashable

    async def heard(self, event: object) -> Mapping[str, Any] | None:
        """Return what it makes of the event, None where that is about something else."""
        result = await self.graph.execute(self.request, event, None)
        if result.data and not result.errors and not any(result.data.values()):
            return None
        return answered(result, self.request_id)


def answered(result: ExecutionResult, request_id: str) -> dict[str, Any]:
    """Return the answer as clients read it."""
    body: dict[str, Any] = {"data": result.data}
    if result.errors:
        body["errors"] = [described(each, request_id) for each in result.errors]
    return body


def errors_of(error: Exception, request_id: str) -> list[dict[str, Any]]:
    """Return what clients read of an operation that is not run."""
    found = error.errors if isinstance(error, Invalid) else [GraphQLError(str(error), original_error=error)]
    return [described(each, request_id) for each in found]


def described(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """Return the error with the code and status that REST has for it."""
    document = _problem_of(error)
    extensions = {name: document[name] for name in DESCRIBED if name in document} | {"request_id": request_id}
    answer: dict[str, Any] = {"message": document.get("detail") or document["title"], "extensions": extensions}
    if error.locations:
        answer["locations"] = [each.formatted for each in error.locations]
    if error.path:
        answer["path"] = error.path
    if document["code"] == "internal":
        log.error("graphql.failed", request_id=request_id, path=error.path, exc_info=error.original_error)
    return answer


def _problem_of(error: GraphQLError) -> dict[str, Any]:
    match error.original_error:
        case HeadwaterError() as known:
            if isinstance(known, Unavailable):
                log.warning("graphql.unavailable", code=known.code, detail=known.detail, path=error.path)
            return of_error(known)
        case ValidationError() as invalid:
            return of_validation(invalid)
        case None if isinstance(error, GraphQLSyntaxError):
            return problem(400, "bad_request", error.message)
        case cause if cause is None or error.path is None:  # what was sent, not what became of it
            return problem(422, "validation_failed", error.message)
    return problem(500, "internal", "the failure was logged under the request id")


def _serialized(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="A time as in RFC 3339, with its offset from UTC.",
    specified_by_url="https://datatracker.ietf.org/doc/html/rfc3339",
    serialize=_serialized,
    parse_value=moment.validate_python,
)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number of minor units")
    return value


MONEY = strawberry.scalar(
    name="Money",
    description="A whole number of minor units, such as cents: 64 bits.",
    serialize=_whole,
    parse_value=_whole,
)
