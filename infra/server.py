"""uvicorn's HTTP protocol with a limit that it lacks: on the size of a request's head."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT = 65_536  # bytes of request line and headers
REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: application/problem+json\r\nconnection: close\r\ncontent-length: 120\r\n\r\n"
    b'{"type":"urn:headwater:problem:bad_request","title":"Request Header Fields Too Large","status":431,"code":"bad_request"}'
)


class LimitedHttp(HttpToolsProtocol):
    """Closes a connection whose request's head does not end within `HEAD_LIMIT`: nobody may fill our memory unasked."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heads = 0  # that have ended
        self._pending = 0  # bytes received since the last one ended, its own chunk and its body aside
        self._in_body = False

    def data_received(self, data: bytes) -> None:
        heads = self._heads
        super().data_received(data)
        if self._in_body or self._heads > heads:
            self._pending = 0
            return
        self._pending += len(data)
        if self._pending > HEAD_LIMIT and not self.transport.is_closing():
            self.transport.write(REFUSAL)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._heads += 1
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._pending = 0
        super().on_message_complete()
