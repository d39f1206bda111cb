"""One public port: the official client through it, to two processes of `realtime.delivery`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from headwater.environment import load
from headwater.proxy_cli import configuration
from infra.local.ports import free_port
from tests.e2e.conftest import Stack
from tests.e2e.test_message_exchange import GATEWAYS, send
from tests.integration.test_graphql_subscriptions import signed_in
from tests.official_client import OfficialClient, official_client
from tests.probes import eventually
from tests.proxies import running

Api = Callable[[str | UUID], httpx.AsyncClient]
POLL = "/socket.io/?EIO=4&transport=polling"
SOCKETS = ("one", "two", "three", "four")  # more than processes: they go around


async def until_heard(client: OfficialClient, socket: str, bodies: list[str]) -> None:
    async def heard() -> list[str]:
        return [event["data"]["body"] for event in client.events(socket, "message.created")]

    assert await eventually(heard, until=lambda found: len(found) >= len(bodies)) == bodies


@pytest.mark.parametrize("transports", [None, ["websocket"], ["polling"]])
async def test_chat_works_through_the_public_port(stack: Stack, api: Api, transports: list[str] | None) -> None:
    ann, bob = uuid4(), uuid4()
    async with official_client() as client:
        for socket in SOCKETS:
            client.do("connect", socket, url=stack.url, token=stack.token(bob), transports=transports)
        client.do("connect", "ann", url=stack.url, token=stack.token(ann), transports=transports)
        await client.until(lambda told: told["what"] == "connected", len(SOCKETS) + 1)
        if transports is None:
            upgraded = {"what": "transport", "transport": "websocket"}
            await client.until(lambda told: upgraded.items() <= told.items(), len(SOCKETS) + 1)

        payload = {"client_id": "1", "participants": [str(ann), str(bob)], "body": "from a socket"}
        ack = await client.call("ann", "message.send", payload)
        for socket in SOCKETS:
            await until_heard(client, socket, ["from a socket"])
        await send(api(ann), [ann, bob], "from REST")
        for socket in SOCKETS:
            await until_heard(client, socket, ["from a socket", "from REST"])

    assert ack["ok"] is True


async def services_of(stack: Stack) -> Any:
    async with httpx.AsyncClient(base_url=stack.url) as client:
        return (await client.get("/")).json()["services"]


async def test_the_overview_tells_of_both_processes(stack: Stack) -> None:
    services = await services_of(stack)

    assert services["realtime.delivery"] == {"ok": True, "processes": 2}
    assert [each["ok"] for each in services["upstream.realtime"]["processes"]] == [True, True]
    assert all(each["latency_ms"] > 0 for each in services["upstream.realtime"]["processes"])


async def test_when_every_process_is_gone_clients_are_told_and_come_back_by_themselves(stack: Stack, api: Api) -> None:
    ann, bob = uuid4(), uuid4()
    async with official_client() as client, httpx.AsyncClient(base_url=stack.url) as polling:
        client.do("connect", "bob", url=stack.url, token=stack.token(bob), transports=["websocket"], reconnection=True)
        await client.until(lambda told: told["what"] == "connected")
        await send(api(ann), [ann, bob], "before")
        await until_heard(client, "bob", ["before"])
        for gateway in GATEWAYS:
            stack.kill(gateway)

        async def told() -> httpx.Response:
            return await polling.get(POLL)

        problem = (await eventually(told, until=lambda found: found.status_code == 502)).json()
        await send(api(ann), [ann, bob], "meanwhile")
        await client.until(lambda each: each["what"] == "connected", 2)
        await until_heard(client, "bob", ["before", "meanwhile"])
    # The other tests are for processes that have started.
    both = {"ok": True, "processes": 2}
    await eventually(lambda: services_of(stack), until=lambda found: found["realtime.delivery"] == both)

    assert (problem["code"], problem["status"]) == ("bad_gateway", 502)


async def asks_and_subscribes(stack: Stack, url: str) -> None:
    """Have one person subscribe and another send and ask, all at that address."""
    ann, bob = uuid4(), uuid4()
    headers = {"authorization": f"Bearer {stack.token(ann)}"}
    async with (
        signed_in(url, stack.token(bob)) as socket,
        httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client,
    ):
        await socket.subscribe()
        await socket.settled()
        sent = await client.post(
            "/api/v1/messages", json={"participants": [str(ann), str(bob)], "body": "x", "client_id": "1"}
        )
        event = await socket.event()

        async def known() -> list[dict[str, object]]:
            answer = await client.post(
                "/graphql", json={"query": "{ conversations(first: 2) { edges { node { id } } } }"}
            )
            return list(answer.json()["data"]["conversations"]["edges"])

        conversations = await eventually(known)

    assert sent.status_code == 202, sent.text
    assert (event["kind"], event["messageId"]) == ("CREATED", sent.json()["message_id"])
    assert len(conversations) == 1


async def test_queries_and_subscriptions_work_through_the_public_port(stack: Stack) -> None:
    await asks_and_subscribes(stack, stack.url)


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])
async def test_a_generated_configuration_does_the_same(stack: Stack, proxy: str, tmp_path: Path) -> None:
    ann, bob = uuid4(), uuid4()
    port = free_port()
    gateways = ",".join(f"http://127.0.0.1:{stack.process(each)['port']}" for each in GATEWAYS)
    settings = load({"HEADWATER_UPSTREAM_REALTIME": gateways})
    text = configuration(settings, proxy, stack.url, port)
    async with running(proxy, text, port, tmp_path) as url, official_client() as client:
        for transport in ("websocket", "polling"):
            client.do("connect", transport, url=url, token=stack.token(bob), transports=[transport])
        await client.until(lambda told: told["what"] == "connected", 2)
        headers = {"authorization": f"Bearer {stack.token(ann)}"}
        async with httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers) as api:
            await send(api, [ann, bob], f"through {proxy}")
        for transport in ("websocket", "polling"):
            await until_heard(client, transport, [f"through {proxy}"])
        await asks_and_subscribes(stack, url)
