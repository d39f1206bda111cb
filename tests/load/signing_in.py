"""Signing in and verifying access tokens, beside what the libraries take for the bare computation."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
from argon2 import PasswordHasher

from bounded_contexts.identity.adapters.passwords import AT_ONCE
from bounded_contexts.identity.application.commands import register
from bounded_contexts.identity.application.ports import Device, LiveSession
from bounded_contexts.identity.application.sessions import sign_in
from bounded_contexts.identity.domain.commands import Register
from headwater.wiring import identity_ports
from tests.load.producing import rates
from tests.load.side import Clock, opened

PASSWORD = "correct horse battery"
TASKS = 8


def _session() -> LiveSession:
    now = datetime.now(UTC)
    return LiveSession(uuid4(), uuid4(), Device("", ""), ("pwd",), now, now, now + timedelta(hours=1))


async def verifying(seconds: float) -> dict[str, float]:
    """As every request does: the key by its name, the signature, the claims, whether it was revoked."""
    async with opened() as house:
        token = await house.signing_keys.issue(_session(), frozenset({"admin"}), datetime.now(UTC))

        async def verify() -> None:
            await house.access_tokens.verify(token)

        return await rates(verify, seconds)


async def bare_decoding(seconds: float) -> dict[str, float]:
    """The library's call with a key at hand."""
    async with opened() as house:
        token = await house.signing_keys.issue(_session(), frozenset({"admin"}), datetime.now(UTC))
        key = (await house.signing_keys.public())[jwt.get_unverified_header(token)["kid"]]
        issuer, audience = house.signing_keys.issuer, house.signing_keys.audience

        async def decode() -> None:
            jwt.decode(token, key, algorithms=["EdDSA"], issuer=issuer, audience=audience)

        return await rates(decode, seconds)


async def logins(seconds: float) -> dict[str, float]:
    """The command behind `POST /auth/login`: attempts, password, session and its event, both tokens."""
    async with opened() as house:
        ports = identity_ports(house)
        device = Device("bench", f"10.{uuid4().int % 200}.0.1")
        emails = [f"{uuid4().hex}@example.org" for _ in range(TASKS)]
        for email in emails:
            ask = Register(user_id=uuid4(), email=email, name="Ada", at=datetime.now(UTC))
            await register(ask, PASSWORD, device.address, ports)
        done = 0
        clock = Clock()

        async def one(email: str) -> None:
            nonlocal done
            while clock.seconds < seconds:
                await sign_in(email, PASSWORD, device, ports)
                done += 1

        await asyncio.gather(*(one(email) for email in emails))
        return clock.rates(done)


async def bare_hashing(seconds: float) -> dict[str, float]:
    """The library's comparison of a password with its hash, as many at once as we have."""
    hasher = PasswordHasher()
    hash_ = hasher.hash(PASSWORD)
    done = 0
    clock = Clock()

    async def one() -> None:
        nonlocal done
        while clock.seconds < seconds:
            await asyncio.to_thread(hasher.verify, hash_, PASSWORD)
            done += 1

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return clock.rates(done)
