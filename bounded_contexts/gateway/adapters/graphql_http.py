"""The route of GraphQL queries and mutations, as the GraphQL-over-HTTP draft has it: POST of JSON, one operation each."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from bounded_contexts.gateway.adapters.graphql import Graph, Invalid, Operation, errors_of
from infra.http import Known, count, most_at_once, problems
from shared_kernel.errors import Refused

PATH = "/graphql"
MEDIA_TYPE = "application/graphql-response+json"


def graphql_routes(graph: Graph) -> APIRouter:
    """Return the one route."""
    routes = APIRouter(tags=["graphql"], responses=problems(401, 422, 503))

    @routes.post(PATH)
    async def run_a_graphql_operation(asked: Operation, user: Known, request: Request) -> JSONResponse:
        """Run a query or a mutation (docs/schema.graphql)."""
        request_id = str(request.scope.get("request_id", ""))
        is_modern = MEDIA_TYPE in request.headers.get("accept", "")
        try:
            opened = graph.opened(asked.query, asked.operation_name, asked.variables)
            if opened.weight > (most := most_at_once(request)):
                raise Refused("query_too_large", f"it counts as {opened.weight} requests; {most} pass at once")
        except (Invalid, Refused) as error:
            body: dict[str, Any] = {"errors": errors_of(error, request_id)}
        else:
            if opened.weight > 1:  # the first was counted when it came in
                await count(request, user, opened.weight - 1)
            body = await graph.run(opened, user, request_id)
        return JSONResponse(
            body,
            400 if is_modern and "data" not in body else 200,  # other clients take the answer from 200 only
            media_type=MEDIA_TYPE if is_modern else None,
        )

    return routes
