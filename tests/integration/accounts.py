"""Accounts that tests open, and who they are signed in as."""

from dataclasses import dataclass
from uuid import uuid4

import httpx

PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    email: str
    session: str
    api: httpx.AsyncClient


async def registered(anybody: httpx.AsyncClient) -> Account:
    """Open an account and sign in."""
    email = f"{uuid4().hex}@example.org"
    made = await anybody.post("/auth/register", json={"email": email, "name": "Ada", "password": PASSWORD})
    assert made.status_code == 201, made.text
    opened = (await anybody.post("/auth/login", json={"email": email, "password": PASSWORD})).json()
    anybody.headers["authorization"] = f"Bearer {opened['access_token']}"
    return Account(made.json()["id"], email, opened["session_id"], anybody)
