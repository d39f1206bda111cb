"""REST face of templates: stored under names with versions, and what each needs (docs/templates.md)."""

import re
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from bounded_contexts.documents.adapters.http_convert import ANY
from bounded_contexts.documents.adapters.negotiation import attachment
from bounded_contexts.documents.application import templates
from bounded_contexts.documents.application.template_ports import TemplatePorts
from bounded_contexts.documents.domain.rendering.media_types import MEDIA_TYPES
from bounded_contexts.documents.domain.rendering.variables import Variable
from bounded_contexts.documents.domain.template import NAME, REFERENCE, Kind, Version
from infra.http import Cursor, Limit, NextPage, SignedIn, Tokens, open_place, problems, seal_place
from shared_kernel.errors import Refused, Unsupported
from shared_kernel.permissions import require

TEMPLATES: Final = "documents:templates"  # the permission to store and remove them; whoever renders may use them
RENDER: Final = "documents:render"
TEMPLATES_PATH: Final = "/documents/templates"
TYPES: Final[dict[Kind, str]] = {
    "json": "application/json",
    "docx": MEDIA_TYPES["docx"],
    "xlsx": MEDIA_TYPES["xlsx"],
}
KINDS: Final[dict[str, Kind]] = {type_: kind for kind, type_ in TYPES.items()}
_UPLOAD: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": f"A document without data, or a DOCX or XLSX file with markers: {', '.join(TYPES.values())}.",
        "content": ANY,
    }
}

Name = Annotated[str, Path(pattern=f"^{NAME}$", description="Small letters, digits and hyphens.")]
Reference = Annotated[str, Path(pattern=f"^{REFERENCE}$", description="A name, for the newest version, or `name@3`.")]


class TemplateAnswer(BaseModel):
    """One version of a template, which never changes. Size in bytes."""

    name: str
    version: int
    reference: Annotated[str, Field(description="What asks for this version.", examples=["invoice@3"])]
    kind: Kind
    bytes: int
    sha256: str
    stored_at: datetime


class TemplatesPage(BaseModel):
    data: list[TemplateAnswer]
    page: NextPage


class VersionsAnswer(BaseModel):
    data: Annotated[list[TemplateAnswer], Field(description="Oldest first.")]


class VariableAnswer(BaseModel):
    path: Annotated[str, Field(description="`[]` stands for each element.", examples=["invoice.lines[].qty"])]
    type: Annotated[str, Field(description="As it is used: text, number, date, boolean, list, map, any.")]
    loops: Annotated[list[str], Field(description="The lists that it is repeated over, the outermost first.")]
    required: Annotated[bool, Field(description="Not where every use has a default.")]


class VariablesAnswer(BaseModel):
    data: list[VariableAnswer]


class StoredAnswer(TemplateAnswer):
    variables: list[VariableAnswer]


def template_routes(ports: TemplatePorts) -> APIRouter:
    """Return the routes of templates."""
    routes = APIRouter(prefix=TEMPLATES_PATH, tags=["documents"], responses=problems(401, 403, 404, 422, 503))

    @routes.post("", status_code=201, responses=problems(400, 413, 415), openapi_extra=_UPLOAD)
    async def store_a_template(
        request: Request,
        response: Response,
        user: SignedIn,
        name: Annotated[str, Query(description="Small letters, digits and hyphens, 64 at most.")] = "",
    ) -> StoredAnswer:
        """Store the next version of a template; with the permission `documents:templates`. The same content again is the same
        version."""
        require(user.roles, TEMPLATES)
        if not re.fullmatch(NAME, name, re.ASCII):
            raise Refused("validation_failed", "`name` has small letters, digits and hyphens, 64 at most")
        kind = KINDS.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
        if kind is None:
            raise Unsupported("unsupported_media_type", f"send one of {', '.join(TYPES.values())}")
        version, inspection = await templates.store(name, kind, await request.body(), user.id, ports)
        response.headers["Location"] = f"/api/v1{TEMPLATES_PATH}/{name}@{version.number}"
        variables = [_variable(each) for each in inspection.variables]
        return StoredAnswer(**_answer(name, version).model_dump(), variables=variables)

    @routes.get("")
    async def list_templates(user: SignedIn, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None) -> TemplatesPage:
        """List the newest version of every template, last stored first."""
        require(user.roles, RENDER)
        found = await ports.templates.newest(limit + 1, open_place(tokens, cursor, "templates"))
        last = found[limit - 1] if len(found) > limit else None
        next_ = seal_place(tokens, last.stored_at, last.template_id, "templates") if last else None
        data = [
            TemplateAnswer(
                name=each.name,
                version=each.version,
                reference=f"{each.name}@{each.version}",
                kind=each.kind,
                bytes=each.size,
                sha256=each.sha256,
                stored_at=each.stored_at,
            )
            for each in found[:limit]
        ]
        return TemplatesPage(data=data, page=NextPage(next_cursor=next_, has_more=last is not None))

    @routes.get("/{reference}")
    async def read_a_template(reference: Reference, user: SignedIn) -> TemplateAnswer:
        """What a version of a template is."""
        require(user.roles, RENDER)
        return _answer(*await templates.version_for(reference, ports))

    @routes.get("/{name}/versions")
    async def list_versions(name: Name, user: SignedIn) -> VersionsAnswer:
        """List the versions of a template."""
        require(user.roles, RENDER)
        found = await templates.template_for(name, ports)
        return VersionsAnswer(data=[_answer(name, each) for each in found.versions])

    @routes.get("/{reference}/variables")
    async def list_variables(reference: Reference, user: SignedIn) -> VariablesAnswer:
        """List what a version needs of its data."""
        require(user.roles, RENDER)
        found = await templates.inspected(*await templates.version_for(reference, ports), ports)
        return VariablesAnswer(data=[_variable(each) for each in found.variables])

    @routes.get(
        "/{reference}/content",
        response_class=Response,
        responses={200: {"description": "The file, as it was stored.", "content": ANY}},
    )
    async def download_a_template(reference: Reference, user: SignedIn) -> Response:
        """Download a version; with the permission `documents:templates`."""
        require(user.roles, TEMPLATES)
        name, version = await templates.version_for(reference, ports)
        content = await templates.content_of(name, version, ports)
        headers = {"Content-Disposition": attachment(f"{name}.{version.kind}"), "ETag": f'"{version.sha256}"'}
        return Response(content, media_type=TYPES[version.kind], headers=headers)

    @routes.delete("/{reference}", status_code=204)  # one path has one parameter (OpenAPI 3.1, 4.8.8.2): here a name
    async def remove_a_template(reference: Name, user: SignedIn) -> None:
        """Remove a template with all versions; with the permission `documents:templates`. Documents have what they need."""
        require(user.roles, TEMPLATES)
        await templates.remove(reference, user.id, ports)

    return routes


def _answer(name: str, version: Version) -> TemplateAnswer:
    return TemplateAnswer(
        name=name,
        version=version.number,
        reference=f"{name}@{version.number}",
        kind=version.kind,
        bytes=version.size,
        sha256=version.sha256,
        stored_at=version.stored_at,
    )


def _variable(of: Variable) -> VariableAnswer:
    return VariableAnswer(path=of.path, type=of.type, loops=list(of.loops), required=of.is_required)
