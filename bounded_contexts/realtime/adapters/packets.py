"""What goes to clients and comes from them: Socket.IO 5 packets in Engine.IO 4 packets.

https://github.com/socketio/socket.io/blob/main/docs/socket.io-protocol/v5-current.md: type, namespace, comma, id of an ack,
JSON. An event's JSON ends with the position, so that all before it is encoded once and the position put in when it is known.
"""

import re
from base64 import b64encode
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from bounded_contexts.realtime.adapters.websocket import BINARY, TEXT, frame
from bounded_contexts.realtime.application.reactions import Delivery
from bounded_contexts.realtime.application.subscriptions import Channel
from shared_kernel.events import Recorded

NAMESPACE, UI, PUBLIC = "/chat", "/ui", "/ui-public"
CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = "0123456"  # Socket.IO
OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"  # Engine.IO
OFFSET = "offset"  # a packet's form with it, among its answers
MOST_ATTACHMENTS = 10  # of one packet, as in the reference's parser

# Type, number of attachments, namespace, id of an ack, JSON.
FORM = re.compile(r"([0-6])(?:(\d{1,9})-)?(?:(/[^,]*)(?:,|$))?(\d{1,18})?(.*)", re.ASCII | re.DOTALL)


class Packet(bytes):
    """An Engine.IO packet: the WebSocket frame that however many clients are sent, made once."""

    text: str  # as a poll carries it
    position: str
    answers: dict[Hashable, Any]  # for clients that are sent it in another form

    def __new__(cls, text: str, position: str = "") -> "Packet":
        return cls._of(frame(TEXT, text.encode()), text, position)

    @classmethod
    def of_bytes(cls, data: bytes) -> "Packet":
        """Return a message that is bytes."""
        return cls._of(frame(BINARY, data), "b" + b64encode(data).decode())

    @classmethod
    def _of(cls, framed: bytes, text: str, position: str = "") -> "Packet":
        packet = super().__new__(cls, framed)
        packet.text, packet.position, packet.answers = text, position, {}
        return packet


@dataclass(frozen=True, slots=True)
class Received:
    """A client's Socket.IO packet."""

    type: str
    namespace: str
    number: int | None  # of the ack
    data: Any  # what its JSON says, None without
    attachments: int = 0  # that follow, for the placeholders in `data`


class Malformed(ValueError):
    """It is no packet."""


def parsed(text: str) -> Received:
    """Return the packet. Raise `Malformed` for what is none."""
    found = FORM.fullmatch(text)
    if found is None:
        raise Malformed
    type_, count, namespace, number, json = found.groups()
    try:
        data = msgspec.json.decode(json) if json else None
        is_binary = type_ in (BINARY_EVENT, BINARY_ACK)
        attachments = _placeholders(data) if is_binary else 0
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise Malformed from None
    packet = Received(type_, namespace or "/", int(number) if number else None, data, attachments)
    if attachments > MOST_ATTACHMENTS or count != (str(attachments) if is_binary else None) or not _is_sound(packet):
        raise Malformed
    return packet


def filled(packet: Received, attachments: Sequence[bytes]) -> Received:
    """Return the packet with attachments in the places held for them. Raise `Malformed` for a place without one."""
    return replace(packet, data=_filled(packet.data, attachments), attachments=0)


def opening(recorded: Recorded, delivery: Delivery) -> str:
    """Return the event's packet up to its position: attributes by their CloudEvents names, then `data`."""
    return _opening(recorded, delivery.name, delivery.data, NAMESPACE)


def update_opening(recorded: Recorded, delivery: Delivery) -> str:
    """Return the same for a UI update, whose payload goes in as its publisher wrote it, but on one line."""
    (channel,) = delivery.recipients
    payload = delivery.data["payload"].replace("\r", " ").replace("\n", " ")
    namespace = PUBLIC if isinstance(channel, Channel) and channel.is_public else UI
    return _opening(recorded, delivery.name, {**delivery.data, "payload": msgspec.Raw(payload.encode())}, namespace)


def envelope(packet: Packet) -> str:
    """Return the one argument of an event's packet."""
    text = packet.text
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


def completed(opened: str, position: str) -> Packet:
    """Return the event's packet; any number of clients may be sent this one object."""
    return Packet(f'{MESSAGE}{opened}{position}"}}]', position)


def notice(name: str, data: Mapping[str, Any], namespace: str = NAMESPACE) -> Packet:
    """Return a packet about the session itself."""
    return Packet(f'{MESSAGE}{EVENT}{namespace},["{name}",{_json(data)}]', data.get("position", ""))


def with_offset(packet: Packet) -> Packet:
    """Return an event with its position as one more argument: what a client that is to be recovered asks to go on from."""
    if not packet.position:
        return packet
    if OFFSET not in packet.answers:
        packet.answers[OFFSET] = Packet(f'{packet.text[:-1]},"{packet.position}"]', packet.position)
    found: Packet = packet.answers[OFFSET]
    return found


def ack(number: int, answer: Mapping[str, Any], namespace: str = NAMESPACE) -> Packet:
    """Return the answer to what a client asked as `number`. Raise `TypeError` for data that JSON has no form for."""
    return _packet(f"{ACK}{namespace},{number}[{_json(answer)}]")


def welcome(namespace: str, sid: str, pid: str | None = None) -> Packet:
    """Return the packet that lets a client into a namespace; `pid` is that of one that may be recovered."""
    return _packet(f"{CONNECT}{_named(namespace)}{_json({'sid': sid} | ({'pid': pid} if pid else {}))}")


def refusal(namespace: str, why: Mapping[str, Any]) -> Packet:
    """Return the packet that does not."""
    return _packet(f"{CONNECT_ERROR}{_named(namespace)}{_json(why)}")


def farewell(namespace: str = NAMESPACE) -> Packet:
    """Return the packet that ends the session by the server's wish: clients do not come back by themselves."""
    return _packet(f"{DISCONNECT}{_named(namespace)}")


def _named(namespace: str) -> str:
    return "" if namespace == "/" else f"{namespace},"


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _packet(text: str) -> Packet:
    return Packet(MESSAGE + text)


def _filled(data: Any, attachments: Sequence[bytes]) -> Any:
    match data:
        case {"_placeholder": True, "num": int(number)} if 0 <= number < len(attachments):
            return attachments[number]
        case {"_placeholder": True}:
            raise Malformed
        case dict():
            return {key: _filled(value, attachments) for key, value in data.items()}
        case list():
            return [_filled(each, attachments) for each in data]
    return data


def _placeholders(data: Any) -> int:
    match data:
        case {"_placeholder": True, **_rest}:
            return 1
        case dict():
            return sum(map(_placeholders, data.values()))
        case list():
            return sum(map(_placeholders, data))
    return 0


def _is_sound(packet: Received) -> bool:
    match packet.type, packet.data:
        case (("2" | "5"), [str(), *_]):
            return True
        case (("3" | "6"), list()):
            return packet.number is not None
        case "1", None:
            return True
        case "0", _:
            return True
    return False
