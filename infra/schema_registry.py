"""Client of a Confluent-compatible schema registry: register what we write, look up what others wrote."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from shared_kernel.errors import Unavailable

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
TIMEOUT_S = 10.0


class SchemaRejected(Exception):
    """The registry refuses a schema, mostly because it is not compatible with an earlier version."""


class SchemaRegistry:
    """Ids are the registry's global ids; they stand in every record (Confluent wire format)."""

    def __init__(
        self, url: str, *, username: str | None = None, password: str | None = None, ca_file: Path | None = None
    ) -> None:
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/",
            auth=httpx.BasicAuth(username, password or "") if username else None,
            verify=ssl.create_default_context(cafile=ca_file) if url.startswith("https") else False,
            headers={"content-type": CONTENT_TYPE, "accept": CONTENT_TYPE},
            timeout=TIMEOUT_S,
        )

    async def ping(self) -> None:
        """Return if this is a registry that we may read. Raise `LookupError` if it is something else, `Unavailable`."""
        await self._request("GET", "subjects")

    async def register(self, subject: str, schema: str) -> int:
        """Return the id of the schema under the subject, new or known. Raise `SchemaRejected`, `Unavailable`."""
        answer = await self._request("POST", f"subjects/{subject}/versions", {"schema": schema, "schemaType": "AVRO"})
        return int(answer["id"])

    async def require_compatibility(self, subject: str, level: str = "FULL_TRANSITIVE") -> None:
        """Make the registry refuse versions that old readers or writers could not live with. Safe to repeat."""
        await self._request("PUT", f"config/{subject}", {"compatibility": level})

    async def is_compatible(self, subject: str, schema: str) -> bool:
        """Return whether the schema may become the subject's next version; a new subject takes anything."""
        try:
            body = {"schema": schema, "schemaType": "AVRO"}
            answer = await self._request("POST", f"compatibility/subjects/{subject}/versions/latest", body)
        except LookupError:
            return True
        return bool(answer["is_compatible"])

    async def schema(self, schema_id: int) -> str:
        """Return the schema text. Raise `LookupError` for an id nobody registered, `Unavailable`."""
        return str((await self._request("GET", f"schemas/ids/{schema_id}"))["schema"])

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _request(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        try:
            response = await self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__} at {path}" + (f": {error}" if str(error) else "")
            raise Unavailable("schema_registry_unavailable", reason) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            raise LookupError(path)
        if response.status_code in (httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY):
            raise SchemaRejected(f"{path}: {' '.join(response.text.split())[:500]}")
        if response.is_error:
            raise Unavailable("schema_registry_unavailable", f"{response.status_code} at {path}")
        try:
            answer: Mapping[str, Any] = response.json()
        except ValueError as error:  # a page of whatever else listens there
            raise Unavailable("schema_registry_unavailable", f"no JSON at {path}") from error
        return answer
