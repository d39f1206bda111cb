"""Mail: by SMTP (RFC 5321) where a server is set, else into a directory, where people on a laptop find it. Port `Mail`."""

import asyncio
import re
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiosmtplib

from infra.local import private
from shared_kernel.errors import Refused, Unavailable

TIMEOUT_S = 20.0
PORTS = {"smtp": 587, "smtps": 465}


class SmtpMail:
    """`smtp://` begins plain and goes on with STARTTLS where the server offers it, `smtps://` begins with TLS. With a
    password a plain connection is refused."""

    def __init__(self, url: str, sender: str) -> None:
        """Raise `ValueError` for a URL that is none of the two."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("smtp://[user:password@]host[:port] or smtps://…")
        self._sender = sender
        self._host, self._port = parts.hostname, parts.port or PORTS[parts.scheme]
        self._is_tls = parts.scheme == "smtps"
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None

    async def send(self, to: str, subject: str, text: str, id_: str) -> None:
        message = _message(self._sender, to, subject, text, id_)
        # `from None`: the server's words name the address, and dead letters keep the stack.
        try:
            await aiosmtplib.send(
                message,
                hostname=self._host,
                port=self._port,
                use_tls=self._is_tls,
                # None: where it is offered; a password never goes over a plain connection
                start_tls=True if self._username and not self._is_tls else None,
                username=self._username,
                password=self._password,
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPResponseException as error:
            if 500 <= error.code < 600 and not isinstance(error, aiosmtplib.SMTPAuthenticationError):
                raise Refused("mail_refused", f"the server answered {error.code}") from None
            raise Unavailable("mail_unavailable", f"the server answered {error.code}") from None
        except aiosmtplib.SMTPRecipientsRefused as error:
            if all(500 <= each.code < 600 for each in error.recipients):
                raise Refused("mail_refused", "the server does not take the address") from None
            raise Unavailable("mail_unavailable", "the server does not take the address now") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Unavailable("mail_unavailable", type(error).__name__) from None


class FileMail:
    """One `.eml` file for each mail, in a directory that is made when it is needed."""

    def __init__(self, directory: Path, sender: str) -> None:
        self._directory = directory
        self._sender = sender

    async def send(self, to: str, subject: str, text: str, id_: str) -> None:
        message = _message(self._sender, to, subject, text, id_)
        await asyncio.to_thread(self._write, re.sub(r"[^A-Za-z0-9.-]", "_", id_), message.as_string())

    def _write(self, name: str, text: str) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        private.write(self._directory / f"{name}.eml", text)


def _message(sender: str, to: str, subject: str, text: str, id_: str) -> EmailMessage:
    message = EmailMessage(SMTP)
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = f"<{id_}@{sender.rpartition('@')[2].rstrip('>')}>"  # a repeat is the same mail to mailboxes
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine answers
    message.set_content(text)
    return message
