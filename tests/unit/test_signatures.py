"""Signatures of requests, and publish keys: given what happened, when an administrator asks, then this happens."""

import base64
from datetime import UTC, datetime
from functools import reduce
from uuid import UUID

import pytest

from bounded_contexts.realtime.application.signatures import content, new_secret
from bounded_contexts.realtime.domain.publish_key import (
    FORMER_HOLDS,
    INITIAL,
    Asker,
    MakeKey,
    PublishKeyEvent,
    RevokeKey,
    RotateKey,
    decide,
    evolve,
)
from infra.webhooks import is_signed, shown, signature
from schemas.realtime.events import PublishKeyMade, PublishKeyRevoked, PublishKeyRotated
from shared_kernel.errors import Forbidden, NotFound

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY, ROOT = UUID(int=1), UUID(int=2)
ADMIN, SOMEBODY = Asker(ROOT, frozenset({"admin"})), Asker(ROOT, frozenset({"operator"}))
ROTATE, REVOKE = RotateKey(key_id=KEY, asker=ADMIN, at=NOW), RevokeKey(key_id=KEY, asker=ADMIN, at=NOW)
MADE = PublishKeyMade(key_id=KEY, name="Shop", channels=("a",), may_public=True, made_by=ROOT, made_at=NOW)
ROTATED = PublishKeyRotated(key_id=KEY, former_until=NOW + FORMER_HOLDS, rotated_by=ROOT, rotated_at=NOW)
REVOKED = PublishKeyRevoked(key_id=KEY, revoked_by=ROOT, revoked_at=NOW)


def make(asker: Asker = ADMIN) -> MakeKey:
    return MakeKey(key_id=KEY, name="Shop", channels=("a",), may_public=True, asker=asker, at=NOW)


def test_what_is_signed_is_what_standard_webhooks_signs_behind_method_and_target() -> None:
    # The vector of https://github.com/standard-webhooks/standard-webhooks, whose libraries sign the second part alone.
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = content("POST", "/x?y=1", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')

    assert signed.startswith(b"POST\n/x?y=1\n")
    theirs = signed.removeprefix(b"POST\n/x?y=1\n")
    assert signature(secret, theirs) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_one_of_several_signatures_by_one_of_two_secrets_is_enough() -> None:
    one, other, stranger = new_secret(), new_secret(), new_secret()
    good = signature(other, b"x")

    assert is_signed(b"x", good, [one, other])
    assert is_signed(b"x", f"{signature(stranger, b'x')} v1a,zzz {good}", [one, other])
    assert not is_signed(b"y", good, [one, other])
    assert not is_signed(b"x", signature(stranger, b"x"), [one, other])
    assert not is_signed(b"x", "", [one, other])
    assert not is_signed(b"x", good, [])
    assert not is_signed(b"x", good.removeprefix("v1,"), [other])
    assert not is_signed(b"x", "é", [other])


def test_a_secret_is_shown_as_standard_webhooks_has_it() -> None:
    assert base64.b64decode(shown(b"\xff" * 32).removeprefix("whsec_")) == b"\xff" * 32


@pytest.mark.parametrize(
    ("given", "ask", "then"),
    [
        ((), make(), (MADE,)),
        ((MADE,), ROTATE, (ROTATED,)),
        ((MADE,), REVOKE, (REVOKED,)),
        ((MADE, ROTATED), REVOKE, (REVOKED,)),
        ((MADE, REVOKED), REVOKE, ()),
    ],
)
def test_what_happens(
    given: tuple[PublishKeyEvent, ...],
    ask: MakeKey | RotateKey | RevokeKey,
    then: tuple[PublishKeyEvent, ...],
) -> None:
    assert decide(reduce(evolve, given, INITIAL), ask) == then


@pytest.mark.parametrize(
    ("given", "ask", "error"),
    [
        ((), make(SOMEBODY), Forbidden),
        ((MADE,), RotateKey(key_id=KEY, asker=SOMEBODY, at=NOW), Forbidden),
        ((MADE,), RevokeKey(key_id=KEY, asker=SOMEBODY, at=NOW), Forbidden),
        ((), ROTATE, NotFound),
        ((), REVOKE, NotFound),
        ((MADE, REVOKED), ROTATE, NotFound),
    ],
)
def test_what_is_refused(
    given: tuple[PublishKeyEvent, ...], ask: MakeKey | RotateKey | RevokeKey, error: type[Exception]
) -> None:
    with pytest.raises(error):
        decide(reduce(evolve, given, INITIAL), ask)
