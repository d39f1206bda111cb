"""The commands that print what the system says of itself: settings, interfaces."""

from headwater import settings_docs
from headwater.console import Json, print_json, show


def settings_table(as_json: Json = False) -> None:
    """List every setting with its default and meaning."""
    show(settings_docs.table(), as_json)


def asyncapi() -> None:
    """Print the AsyncAPI document of topics and sockets."""
    from headwater import web

    print_json(web.asyncapi())


def openapi() -> None:
    """Print the OpenAPI document of the REST interface."""
    from headwater.web import openapi_document

    print_json(openapi_document())


def schema() -> None:
    """Print the GraphQL schema."""
    from headwater.web import graphql_schema

    print(graphql_schema())  # noqa: T201 – a document
