"""REST face of assets: images, fonts and PDFs under names with versions, which documents use (docs/assets.md)."""

import re
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from bounded_contexts.documents.adapters.http_convert import ANY
from bounded_contexts.documents.adapters.negotiation import attachment
from bounded_contexts.documents.application import assets
from bounded_contexts.documents.application.asset_ports import AssetPorts, ListedAsset
from bounded_contexts.documents.domain.asset import KINDS, AssetVersion, Kind, MediaType
from bounded_contexts.documents.domain.template import NAME, REFERENCE
from infra.http import Cursor, Limit, NextPage, SignedIn, Tokens, open_place, problems, seal_place
from shared_kernel.errors import Refused, Unsupported
from shared_kernel.permissions import require

ASSETS: Final = "documents:assets"  # the permission to store and remove them; whoever renders may use them
RENDER: Final = "documents:render"
ASSETS_PATH: Final = "/documents/assets"
_ENDINGS: Final[dict[MediaType, str]] = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/svg+xml": "svg",
    "font/ttf": "ttf",
    "font/otf": "otf",
    "application/pdf": "pdf",
}
_UPLOAD: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "description": f"One of {', '.join(KINDS)}.", "content": ANY}
}

Name = Annotated[str, Path(pattern=f"^{NAME}$", description="Small letters, digits and hyphens.")]
Reference = Annotated[str, Path(pattern=f"^{REFERENCE}$", description="A name, for the newest version, or `name@3`.")]


class AssetAnswer(BaseModel):
    """One version of an asset, which never changes. Size in bytes."""

    name: str
    version: int
    reference: Annotated[str, Field(description="What documents name this version by.", examples=["logo@3"])]
    kind: Kind
    media_type: MediaType
    bytes: int
    sha256: str
    stored_at: datetime


class AssetsPage(BaseModel):
    data: list[AssetAnswer]
    page: NextPage


class AssetVersionsAnswer(BaseModel):
    data: Annotated[list[AssetAnswer], Field(description="Oldest first.")]


class StoredAssetAnswer(AssetAnswer):
    facts: Annotated[
        dict[str, str | int],
        Field(
            description="What was found in it: `width` and `height` of an image (pixels) or a PDF (points), `pages`; of a font "
            "`family`, `style`, `glyphs`."
        ),
    ]


def asset_routes(ports: AssetPorts) -> APIRouter:
    """Return the routes of assets."""
    routes = APIRouter(prefix=ASSETS_PATH, tags=["documents"], responses=problems(401, 403, 404, 422, 503))

    @routes.post("", status_code=201, responses=problems(400, 413, 415), openapi_extra=_UPLOAD)
    async def store_an_asset(
        request: Request,
        response: Response,
        user: SignedIn,
        name: Annotated[str, Query(description="Small letters, digits and hyphens, 64 at most.")] = "",
    ) -> StoredAssetAnswer:
        """Store the next version of an asset; with the permission `documents:assets`. The same content again is the same
        version."""
        require(user.roles, ASSETS)
        if not re.fullmatch(NAME, name, re.ASCII):
            raise Refused("validation_failed", "`name` has small letters, digits and hyphens, 64 at most")
        media_type = _media_type(request)
        version, facts = await assets.store(name, media_type, await request.body(), user.id, ports)
        response.headers["Location"] = f"/api/v1{ASSETS_PATH}/{name}@{version.number}"
        return StoredAssetAnswer(**_answer(name, version).model_dump(), facts=dict(facts))

    @routes.get("")
    async def list_assets(user: SignedIn, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None) -> AssetsPage:
        """List the newest version of every asset, last stored first."""
        require(user.roles, RENDER)
        found = await ports.assets.newest(limit + 1, open_place(tokens, cursor, "assets"))
        last = found[limit - 1] if len(found) > limit else None
        next_ = seal_place(tokens, last.stored_at, last.asset_id, "assets") if last else None
        data = [_listed(each) for each in found[:limit]]
        return AssetsPage(data=data, page=NextPage(next_cursor=next_, has_more=last is not None))

    @routes.get("/{reference}")
    async def read_an_asset(reference: Reference, user: SignedIn) -> AssetAnswer:
        """What a version of an asset is."""
        require(user.roles, RENDER)
        return _answer(*await assets.version_for(reference, ports))

    @routes.get("/{name}/versions")
    async def list_asset_versions(name: Name, user: SignedIn) -> AssetVersionsAnswer:
        """List the versions of an asset."""
        require(user.roles, RENDER)
        found = await assets.asset_for(name, ports)
        return AssetVersionsAnswer(data=[_answer(name, each) for each in found.versions])

    @routes.get(
        "/{reference}/content",
        response_class=Response,
        responses={200: {"description": "The file, as it was stored.", "content": ANY}},
    )
    async def download_an_asset(reference: Reference, user: SignedIn) -> Response:
        """Download a version; with the permission `documents:assets`."""
        require(user.roles, ASSETS)
        name, version = await assets.version_for(reference, ports)
        content = await assets.content_of(name, version, ports)
        disposition = attachment(f"{name}.{_ENDINGS[version.media_type]}")
        headers = {"Content-Disposition": disposition, "ETag": f'"{version.sha256}"'}
        return Response(content, media_type=version.media_type, headers=headers)

    @routes.delete("/{reference}", status_code=204)  # one path has one parameter, as with templates: here a name
    async def remove_an_asset(reference: Name, user: SignedIn) -> None:
        """Remove an asset with all versions; with the permission `documents:assets`. Documents have what they need."""
        require(user.roles, ASSETS)
        await assets.remove(reference, user.id, ports)

    return routes


def _media_type(request: Request) -> MediaType:
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    for each in KINDS:
        if each == said:
            return each
    raise Unsupported("unsupported_media_type", f"send one of {', '.join(KINDS)}")


def _answer(name: str, version: AssetVersion) -> AssetAnswer:
    return AssetAnswer(
        name=name,
        version=version.number,
        reference=f"{name}@{version.number}",
        kind=KINDS[version.media_type],
        media_type=version.media_type,
        bytes=version.size,
        sha256=version.sha256,
        stored_at=version.stored_at,
    )


def _listed(each: ListedAsset) -> AssetAnswer:
    return AssetAnswer(
        name=each.name,
        version=each.version,
        reference=f"{each.name}@{each.version}",
        kind=KINDS[each.media_type],
        media_type=each.media_type,
        bytes=each.size,
        sha256=each.sha256,
        stored_at=each.stored_at,
    )
