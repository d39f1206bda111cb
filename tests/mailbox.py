"""A mail server (RFC 5321) that keeps what it is given."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from infra.local.ports import free_port
from tests.probes import eventually


class Mailbox:
    """What came, by address. Addresses that begin with `nobody` are refused for good, with `later` for now."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mails: dict[str, list[EmailMessage]] = {}

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if address.startswith("nobody"):
            return "550 no such user"
        if address.startswith("later"):
            return "450 try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        for address in envelope.rcpt_tos:
            self.mails.setdefault(address, []).append(mail)
        return "250 OK"

    async def token(self, address: str, page: str, nth: int = 1) -> str:
        """Wait for the nth mail to the address that leads to the page; return the token it carries."""
        found = re.compile(rf"/{page}\?token=([A-Za-z0-9_-]+)")

        async def tokens() -> list[str]:
            texts = [str(mail.get_content()) for mail in self.mails.get(address, [])]
            return [token for text in texts for token in found.findall(text)]

        return (await eventually(tokens, until=lambda tokens: len(tokens) >= nth))[nth - 1]


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """Run it on a free port while the block lasts."""
    mailbox = Mailbox(free_port())
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
