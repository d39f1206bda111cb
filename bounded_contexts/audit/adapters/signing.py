"""Ed25519 over roots: whoever verifies cannot also sign (docs/adr/0025)."""

from collections.abc import Collection

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bounded_contexts.audit.domain.root import Root
from infra.secret_keys import derived


class DerivedKey:
    """The installation's key, derived from its secret. `trusted` are further public keys: those of earlier secrets."""

    def __init__(self, secret: str, trusted: Collection[bytes] = ()) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(derived(secret, "audit roots"))
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
