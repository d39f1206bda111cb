"""How far a reader of several topics has come, as one opaque token: what sockets resume from and REST lists hand out."""

from collections.abc import Mapping

from infra.opaque import OpaqueTokens

KIND = "stream_position"

FeedPosition = Mapping[str, Mapping[int, int]]  # topic → partition → next offset to read


def seal_feed(tokens: OpaqueTokens, position: FeedPosition) -> str:
    """Return the token."""
    return tokens.seal(KIND, {topic: dict(partitions) for topic, partitions in position.items()})


def open_feed(tokens: OpaqueTokens, token: str) -> FeedPosition:
    """Return the position. Raise `Refused` (`invalid_stream_position`) for a token that was not given out here."""
    position: FeedPosition = tokens.open(KIND, token)
    return position
