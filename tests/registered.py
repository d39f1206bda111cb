"""Schemas that are registered once, however many houses a session starts."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.schema_registry import SchemaRegistry

_register = SchemaRegistry.register
_ids: dict[tuple[str, str, str], int] = {}


async def _known(self: SchemaRegistry, subject: str, schema: str) -> int:
    place = (str(self._client.base_url), subject, schema)
    if place not in _ids:
        _ids[place] = await _register(self, subject, schema)
    return _ids[place]


@contextmanager
def registered_once() -> Iterator[None]:
    """While the block lasts, ask a registry for the id of a schema only where this session does not know it: it never
    changes, and a hundred of them take the registry and us a CPU second. Blocks may overlap; the first one decides."""
    with pytest.MonkeyPatch.context() as patch:
        if SchemaRegistry.register is not _known:
            patch.setattr(SchemaRegistry, "register", _known)
        yield
