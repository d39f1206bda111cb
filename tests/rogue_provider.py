"""An OpenID provider that lies as it is told to: what no honest one can be made to do."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

CLIENT, SECRET = "headwater", "only-for-tests"
KEY, ANOTHER_KEY = (rsa.generate_private_key(65537, 2048) for _ in range(2))
Answer = tuple[int, dict[str, str], bytes]


@dataclass(slots=True)
class RogueProvider:
    issuer: str
    instead: dict[str, Answer] = field(default_factory=dict)  # by path: answers that were planted
    asked: list[str] = field(default_factory=list)  # paths
    token: str = ""  # the ID token it gives out
    kid: str = "one"  # of the key it publishes
    exchanged: tuple[str, str] = ("", "")  # headers and form of the last exchange
    about: dict[str, Any] = field(default_factory=dict)  # changes to the discovery document

    @property
    def url(self) -> str:
        return self.issuer.replace("://", f"://{CLIENT}:{SECRET}@")

    def claims(self, nonce: str, /, **changes: Any) -> dict[str, Any]:
        """Return what an honest one would say, with changes; None leaves a claim out."""
        now = int(time())
        honest = {"iss": self.issuer, "aud": CLIENT, "sub": "ada", "iat": now, "exp": now + 60, "nonce": nonce}
        claims = honest | {"email": "ada@rogue.example", "email_verified": True, "name": "Ada"} | changes
        return {name: value for name, value in claims.items() if value is not None}

    def signed(self, claims: dict[str, Any], algorithm: str = "RS256", kid: str = "one") -> str:
        """Return the token, signed as `algorithm` says, with the published key or in its name."""
        match algorithm:
            case "none":
                return jwt.encode(claims, "", "none", {"kid": kid})
            case "HS256":
                return self._with_public_key(claims, kid)
            case "another key":
                return jwt.encode(claims, ANOTHER_KEY, "RS256", {"kid": kid})
            case "another kind of key":
                return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": kid})
        return jwt.encode(claims, KEY, algorithm, {"kid": kid})

    def _with_public_key(self, claims: dict[str, Any], kid: str) -> str:
        """As a verifier would accept that takes the published key for a secret; PyJWT refuses to make it."""
        form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        pem = KEY.public_key().public_bytes(*form)
        head = {"alg": "HS256", "typ": "JWT", "kid": kid}
        signed = b".".join(_base64url(json.dumps(part).encode()) for part in (head, claims))
        return b".".join((signed, _base64url(hmac.digest(pem, signed, hashlib.sha256)))).decode()

    def answer(self, path: str) -> Answer:
        self.asked.append(path)
        match path:
            case each if each in self.instead:
                return self.instead[each]
            case "/.well-known/openid-configuration":
                return answered(
                    {
                        "issuer": self.issuer,
                        "authorization_endpoint": f"{self.issuer}/authorize",
                        "token_endpoint": f"{self.issuer}/token",
                        "jwks_uri": f"{self.issuer}/keys",
                    }
                    | self.about
                )
            case "/keys":
                key = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
                return answered({"keys": [{"kty": "future", "kid": "x"}, key | {"kid": self.kid, "use": "sig"}]})
            case "/token":
                return answered({"access_token": "x", "token_type": "Bearer", "id_token": self.token})
        return 404, {}, b"{}"


def answered(document: object) -> Answer:
    return 200, {"content-type": "application/json"}, json.dumps(document).encode()


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


@contextmanager
def rogue_provider() -> Iterator[RogueProvider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path == "/token":
                rogue.exchanged = str(self.headers).lower(), sent.decode()
            status, headers, body = rogue.answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        rogue = RogueProvider(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield rogue
        server.shutdown()
