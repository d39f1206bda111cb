"""Passwords, as they are kept."""

from bounded_contexts.identity.adapters.passwords import Argon2Passwords


async def test_they_cost_what_rfc_9106_recommends() -> None:
    passwords = Argon2Passwords()
    kept = await passwords.hash("correct horse battery")

    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.matches("correct horse battery", kept)
    assert not await passwords.matches("correct horse", kept)
