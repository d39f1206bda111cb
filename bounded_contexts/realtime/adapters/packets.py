"""What goes to clients, as Socket.IO 5 packets in namespace `/chat`.

https://github.com/socketio/socket.io/blob/main/docs/socket.io-protocol/v5-current.md: type, namespace, comma, id of an ack,
JSON. An event's JSON ends with the position, so that all before it is encoded once and the position put in when it is known.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from engineio.packet import MESSAGE
from engineio.packet import Packet as EnginePacket

from bounded_contexts.realtime.application.reactions import Delivery
from shared_kernel.events import Recorded

NAMESPACE = "/chat"
DISCONNECT, EVENT, ACK = "1", "2", "3"


def opening(recorded: Recorded, delivery: Delivery) -> str:
    """Return the event's packet up to its position: attributes by their CloudEvents names, then `data`."""
    envelope = {
        "id": recorded.id,
        "type": delivery.name,
        "source": recorded.source,
        "subject": recorded.subject,
        "time": recorded.time,
        "data": delivery.data,
        "traceparent": recorded.traceparent,
    }
    return f'{EVENT}{NAMESPACE},["{delivery.name}",{_json(envelope)[:-1]},"position":"'


def revised(opened: str, former: Delivery, delivery: Delivery) -> str:
    """Return the opening with the data of `delivery` in place of the former's."""
    return opened.replace(_json(former.data), _json(delivery.data), 1)


def completed(opened: str, position: str) -> EnginePacket:
    """Return the event's packet; any number of clients may be sent this one object."""
    packet = _packet(f'{opened}{position}"}}]')
    packet.position, packet.answers = position, {}  # for clients that are sent it in another form
    return packet


def notice(name: str, data: Mapping[str, Any]) -> EnginePacket:
    """Return a packet about the session itself."""
    return _packet(f'{EVENT}{NAMESPACE},["{name}",{_json(data)}]')


def ack(number: int, answer: Mapping[str, Any]) -> EnginePacket:
    """Return the answer to what a client asked as `number`. Raise `TypeError` for data that JSON has no form for."""
    return _packet(f"{ACK}{NAMESPACE},{number}[{_json(answer)}]")


def farewell() -> EnginePacket:
    """Return the packet that ends the session by the server's wish: clients do not come back by themselves."""
    return _packet(f"{DISCONNECT}{NAMESPACE},")


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _packet(text: str) -> EnginePacket:
    packet = EnginePacket(MESSAGE, text)
    packet.encode()  # kept in the packet: every client's writer asks for it
    return packet
