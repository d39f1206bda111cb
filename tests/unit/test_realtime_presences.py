"""The watch over who is there."""

import asyncio
from typing import Any, cast

import pytest

from bounded_contexts.realtime.adapters.presences import Presences


@pytest.mark.parametrize("turns", range(5))
async def test_it_ends_when_it_is_stirred_and_cancelled_at_once(turns: int) -> None:
    """As when a node stops and its last sessions leave."""
    presences = Presences(cast("Any", None), cast("Any", None))
    watching = asyncio.create_task(presences.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    presences._stirred.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    watching.cancel()

    done, _ = await asyncio.wait({watching}, timeout=5)
    assert done
