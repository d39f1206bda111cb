"""What goes to clients, as Socket.IO 5 packets, each in its namespace.

https://github.com/socketio/socket.io/blob/main/docs/socket.io-protocol/v5-current.md: type, namespace, comma, id of an ack,
JSON. An event's JSON ends with the position, so that all before it is encoded once and the position put in when it is known.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from engineio.packet import MESSAGE
from engineio.packet import Packet as EnginePacket

from bounded_contexts.realtime.application.reactions import Delivery
from bounded_contexts.realtime.application.subscriptions import Channel
from shared_kernel.events import Recorded

NAMESPACE, UI, PUBLIC = "/chat", "/ui", "/ui-public"
DISCONNECT, EVENT, ACK = "1", "2", "3"


def opening(recorded: Recorded, delivery: Delivery) -> str:
    """Return the event's packet up to its position: attributes by their CloudEvents names, then `data`."""
    return _opening(recorded, delivery.name, delivery.data, NAMESPACE)


def update_opening(recorded: Recorded, delivery: Delivery) -> str:
    """Return the same for a UI update, whose payload goes in as its publisher wrote it, but on one line."""
    (channel,) = delivery.recipients
    payload = delivery.data["payload"].replace("\r", " ").replace("\n", " ")
    namespace = PUBLIC if isinstance(channel, Channel) and channel.is_public else UI
    return _opening(recorded, delivery.name, {**delivery.data, "payload": msgspec.Raw(payload.encode())}, namespace)


def envelope(packet: EnginePacket) -> str:
    """Return the one argument of an event's packet."""
    text: str = packet.data
    return text[text.index(",", text.index("[")) + 1 : -1]


def _opening(recorded: Recorded, name: str, data: Mapping[str, Any], namespace: str) -> str:
    envelope = {
        "id": recorded.id,
        "type": name,
        "source": recorded.source,
        "subject": recorded.subject,
        "time": recorded.time,
        "data": data,
        "traceparent": recorded.traceparent,
    }
    return f'{EVENT}{namespace},["{name}",{_json(envelope)[:-1]},"position":"'


def revised(opened: str, former: Delivery, delivery: Delivery) -> str:
    """Return the opening with the data of `delivery` in place of the former's."""
    return opened.replace(_json(former.data), _json(delivery.data), 1)


def completed(opened: str, position: str) -> EnginePacket:
    """Return the event's packet; any number of clients may be sent this one object."""
    packet = _packet(f'{opened}{position}"}}]')
    packet.position, packet.answers = position, {}  # for clients that are sent it in another form
    return packet


def notice(name: str, data: Mapping[str, Any], namespace: str = NAMESPACE) -> EnginePacket:
    """Return a packet about the session itself."""
    return _packet(f'{EVENT}{namespace},["{name}",{_json(data)}]')


def ack(number: int, answer: Mapping[str, Any], namespace: str = NAMESPACE) -> EnginePacket:
    """Return the answer to what a client asked as `number`. Raise `TypeError` for data that JSON has no form for."""
    return _packet(f"{ACK}{namespace},{number}[{_json(answer)}]")


def farewell(namespace: str) -> EnginePacket:
    """Return the packet that ends the session by the server's wish: clients do not come back by themselves."""
    return _packet(f"{DISCONNECT}{namespace},")


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _packet(text: str) -> EnginePacket:
    packet = EnginePacket(MESSAGE, text)
    packet.encode()  # kept in the packet: every client's writer asks for it
    return packet
