"""What follows from the installation's secret: one key for each purpose (HKDF, RFC 5869), and sealing (AES-256-GCM)."""

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12
KEY_BYTES = 32


def derived(secret: str, purpose: str) -> bytes:
    """Return the key of 32 bytes for this purpose."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"headwater {purpose}".encode()).derive(secret.encode())


def new_key() -> bytes:
    return os.urandom(KEY_BYTES)


def seal(key: bytes, plain: bytes, place: bytes) -> bytes:
    """Return what only the key opens, and only as being of that place."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, place)


def opened(key: bytes, sealed: bytes, place: bytes) -> bytes:
    """Return what was sealed. Raise `ValueError` for another key or place, or anything that was changed."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
    except InvalidTag as error:
        raise ValueError("sealed with another key, or changed") from error


def digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
