"""Consumers that have only the broker's and the registry's addresses, in two languages."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from headwater.wiring import House
from infra.kafka_log import KafkaLog
from tests.contract.test_event_log import sent
from tests.npm import installed

CLIENTS = Path(__file__).parents[2] / "clients"


async def printed(house: House, *command: str, cwd: Path) -> list[dict[str, Any]]:
    """Run a client on the topic of messages until it has printed two events."""
    arguments = (
        house.kafka.topic("messages"), house.kafka.bootstrap_servers, str(house.settings.schema_registry_url),
        "--group", uuid4().hex, "--count", "2",
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        cwd=cwd,
        env=os.environ | {"PYTHONFAULTHANDLER": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    ended = asyncio.ensure_future(process.communicate())
    if not (await asyncio.wait({ended}, timeout=120))[0]:
        process.send_signal(signal.SIGABRT)  # a Python client tells where it stands
    output, said = await ended
    assert process.returncode == 0, f"{output.decode()}\n{said.decode()}"
    return [json.loads(line) for line in output.decode().splitlines()]


@pytest.mark.parametrize("language", ["python", "node"])
async def test_a_stranger_decodes_our_events(own_house: House, language: str) -> None:
    message = sent(uuid4(), "für alle")
    log = KafkaLog(own_house.commands, own_house.codec)
    await log.publish(message)
    await log.publish(message)

    if language == "python":
        first, second = await printed(own_house, sys.executable, "subscribe.py", cwd=CLIENTS / "python")
    else:
        project = await asyncio.to_thread(installed, CLIENTS / "node" / "subscribe")
        first, second = await printed(own_house, "node", "subscribe.mjs", cwd=project)

    assert first["data"]["message_id"] == str(message.message_id)
    assert first["data"]["body"] == "für alle"
    assert first["headers"]["ce_type"] == "headwater.messaging.MessageSent"
    assert first["headers"]["ce_specversion"] == "1.0"
    assert first["headers"]["ce_subject"] == str(message.conversation_id)
    assert first["headers"]["ce_id"] == second["headers"]["ce_id"]


@pytest.mark.parametrize("arguments", [(), ("messages", "127.0.0.1:1")])
def test_the_node_client_says_what_it_wants(arguments: tuple[str, ...]) -> None:
    project = installed(CLIENTS / "node" / "subscribe")
    ran = subprocess.run(
        ("node", "subscribe.mjs", *arguments), cwd=project, capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.returncode == 2
    assert ran.stderr.startswith("usage: node subscribe.mjs TOPIC BROKER REGISTRY")
