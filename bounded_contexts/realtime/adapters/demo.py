"""A page that shows UI updates, for development."""

from pathlib import Path

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from infra.http import open_to_all

PAGE = Path(__file__).with_name("demo.html")


def demo_routes() -> APIRouter:
    """Return the page's route."""
    routes = APIRouter()

    @routes.get("/demo", include_in_schema=False, dependencies=[Depends(open_to_all)])
    async def demo() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    return routes
