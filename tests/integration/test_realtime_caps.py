"""How many sockets a user has over all nodes, and how many connections an address has over which nobody has signed in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import websockets

from bounded_contexts.realtime.adapters.connections_postgres import PostgresConnections
from bounded_contexts.realtime.application.limits import Limits
from headwater.wiring import House
from tests.integration.channels import PUBLIC, UI, Screen, screen
from tests.integration.nodes import Device, Node, device, node, token
from tests.probes import eventually

LIMITS = Limits(drain_s=0.1, connections_per_user_everywhere=3)
HANDSHAKE = "/socket.io/?EIO=4&transport=websocket"


async def told(house: House, user: UUID, count: int) -> None:
    """Wait until nodes have told of so many sockets of the user."""
    connections = PostgresConnections(house.databases["realtime"])

    async def listed() -> int:
        return len(await connections.of_user(user, 10))

    assert await eventually(listed, until=lambda found: found == count) == count


async def test_a_user_has_only_so_many_sockets_over_all_nodes(house: House) -> None:
    ann = uuid4()
    auth = {"token": token(house, ann)}
    async with (
        node(house, limits=LIMITS) as one,
        node(house, limits=LIMITS) as other,
        device(one, ann, house),
        device(other, ann, house),
        device(other, uuid4(), house),
    ):
        async with screen(one, house, ann):
            await told(house, ann, 3)
            for at in (one, other):
                refused = await Device(at.url, auth).connect()
                assert refused.refusal["data"]["code"] == "too_many_connections"
                screens = await Screen(at.url, auth, (UI,)).connect()
                assert screens.refusals[UI]["data"]["code"] == "too_many_connections"
        await told(house, ann, 2)
        async with device(one, ann, house), screen(one, house, namespaces=(PUBLIC,)):
            await told(house, ann, 3)


async def test_one_node_alone_keeps_to_that_too_and_other_users_are_not_concerned(house: House) -> None:
    ann = uuid4()
    async with node(house, limits=replace(LIMITS, connections_per_user_everywhere=1)) as at, device(at, ann, house):
        refused = await Device(at.url, {"token": token(house, ann)}).connect()
        assert refused.refusal["data"]["code"] == "too_many_connections"
        async with device(at, uuid4(), house):
            pass


@pytest.fixture
async def narrow(house: House) -> AsyncIterator[Node]:
    async with node(house, limits=Limits(drain_s=0.1, strangers_per_address=3)) as at:
        yield at


@asynccontextmanager
async def connected(at: Node) -> AsyncIterator[websockets.ClientConnection]:
    """Shake hands and join nothing."""
    async with websockets.connect(f"{at.url.replace('http', 'ws')}{HANDSHAKE}", close_timeout=0.1) as connection:
        assert str(await connection.recv()).startswith("0{")
        yield connection


async def handshake(at: Node) -> int:
    """Return the status that a handshake is answered with."""
    try:
        async with connected(at):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


async def test_an_address_has_only_so_many_connections_that_have_joined_nothing(house: House, narrow: Node) -> None:
    async with AsyncExitStack() as joined:
        for _ in range(4):
            await joined.enter_async_context(device(narrow, uuid4(), house))
        async with connected(narrow), connected(narrow), connected(narrow):
            assert await handshake(narrow) == 429
            refused = await Screen(narrow.url, None, (PUBLIC,)).connect()
            assert refused.refusals
            assert narrow.gateway.load.sessions == 4

        async def again() -> int:
            return await handshake(narrow)

        assert await eventually(again, until=lambda status: status == 101) == 101


async def test_tokens_that_are_no_good_count_as_well_and_who_goes_on_is_cut(house: House, narrow: Node) -> None:
    async def answer() -> str:
        """Return what a bad token is answered with, nothing where the connection is cut."""
        async with connected(narrow) as stranger:
            await stranger.send('40/chat,{"token":"nonsense"}')
            with suppress(websockets.ConnectionClosed):
                return str(await stranger.recv())
        return ""

    async with device(narrow, uuid4(), house) as phone:
        first, second, third = [await answer() for _ in range(3)]
        assert "unauthenticated" in first
        assert (second, third) == ("", "")
        assert await handshake(narrow) == 429
        assert phone.client.connected
