"""How much one client, and all of them together, may take of a node."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes, times seconds."""

    # One client.
    queue_events: int = 1_000  # events queued for it before it lags
    queue_bytes: int = MIB
    patience_s: float = 5.0  # a lagging client that takes nothing for so long is cut
    payload_bytes: int = 64 * 1024  # the largest packet it may send
    commands_per_s: float = 50.0
    commands_burst: int = 100
    connections_per_user: int = 50  # on this node
    connections_per_user_everywhere: int = 0  # on all nodes; 0: as many as they allow together
    connections_per_address: int = 100  # of clients without login, on this node
    strangers_per_address: int = 5_000  # that have joined nothing yet, and tokens refused of late, on this node
    channels: int = 100  # of UI updates, of one socket
    allowed_origins: frozenset[str] = frozenset()  # beside the own one; `*` allows all
    heartbeat_s: float = 25  # between pings
    heartbeat_timeout_s: float = 20  # for the answer to one

    # All clients.
    public_connections: int = 10_000  # without login, on this node
    open_channels: tuple[str, ...] = ()  # globs of what everybody who is signed in may subscribe to
    region: str | None = None  # where the node is
    recent_records: int = 20_000  # deliveries kept in memory
    recent_bytes: int = 32 * MIB
    lookback_records: int = 1_000  # of each partition, read again at the start
    past_records: int = 50_000  # most that is read from the topics again for one client that returns
    past_readers: int = 4  # clients that this is done for at once
    past_readers_per_user: int = 2  # of them
    past_waiting_per_user: int = 200  # readings that wait for their turn; for one more all is to be loaded anew
    drain_s: float = 5.0  # longest time over which closings are spread when the node stops


def origins(text: str) -> frozenset[str]:
    """Return the origins of a comma-separated list."""
    return frozenset(origin.strip().rstrip("/") for origin in text.split(",") if origin.strip())
