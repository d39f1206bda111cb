"""Refuse files of certificates that the libraries would only complain about when they connect, each in its own words."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def require_authority(variable: str, file: Path) -> None:
    """Raise `ValueError`, naming the variable, for a file that no server's certificate can be checked with."""
    with _named(f"{variable}: no certificates in PEM in {file}"):
        ssl.create_default_context(cafile=file)


def require_pair(certificate: tuple[str, Path | None], key: tuple[str, Path | None]) -> None:
    """Raise `ValueError`, naming the variables, for half of a pair, and for a key that is not the certificate's."""
    pair = f"{certificate[0]} and {key[0]}"
    if not (certificate[1] or key[1]):
        return
    if not (certificate[1] and key[1]):
        raise ValueError(f"set {pair}, or neither")
    with _named(f"{pair}: no certificate with its key, not encrypted, in PEM"):
        # A password would be asked for on the terminal.
        ssl.create_default_context().load_cert_chain(certificate[1], key[1], password="")


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"{what} ({error.strerror or error})") from None
