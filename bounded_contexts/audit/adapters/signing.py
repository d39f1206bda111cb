"""Ed25519 over roots: whoever verifies cannot also sign (docs/adr/0025)."""

from collections.abc import Collection

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bounded_contexts.audit.domain.root import Root


class DerivedKey:
    """The installation's key, derived from its secret. `trusted` are further public keys: those of earlier secrets."""

    def __init__(self, secret: str, trusted: Collection[bytes] = ()) -> None:
        seed = HKDF(SHA256(), 32, salt=None, info=b"headwater audit roots").derive(secret.encode())
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._trusted = {self.public_key, *trusted}

    @property
    def public_key(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    def sign(self, body: bytes) -> bytes:
        return self._private.sign(body)

    def is_signed(self, root: Root) -> bool:
        if root.public_key not in self._trusted:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(root.public_key).verify(root.signature, root.body)
        except InvalidSignature:
            return False
        return True
