"""Service accounts: what administrators do with them, and the tokens they get (RFC 6749 section 4.4)."""

from dataclasses import dataclass
from uuid import UUID

from bounded_contexts.identity.application.ports import ACCESS_LIFETIME, Client, ListedService, Ports
from bounded_contexts.identity.domain import service_account
from bounded_contexts.identity.domain.commands import (
    AddServiceSecret,
    ChangeServiceAccount,
    CreateServiceAccount,
    DeleteServiceAccount,
    RevokeServiceSecret,
)
from shared_kernel.decider import execute
from shared_kernel.errors import NotFound


class ClientRefused(Exception):
    """There is no such account, or it has no such secret. Which is not said."""


@dataclass(frozen=True, slots=True)
class ServiceToken:
    access_token: str
    scopes: tuple[str, ...]
    expires_in_s: int


async def create(ask: CreateServiceAccount, ports: Ports) -> tuple[ListedService, str]:
    """Return the account as it is listed, and its secret. Raise `Forbidden`, `Refused`."""
    return await _with_secret(ask, ports)


async def rotate(ask: AddServiceSecret, ports: Ports) -> tuple[ListedService, str]:
    """Return the account and another secret of it; of two that it had the older is over, and its tokens with it.

    Raise `Forbidden`, `NotFound`, `Conflict`."""
    return await _with_secret(ask, ports)


async def change(ask: ChangeServiceAccount | RevokeServiceSecret, ports: Ports) -> ListedService:
    """Return the account as it is then. Raise `Forbidden`, `NotFound`, `Refused`."""
    await execute(service_account, ports.services, ask.account_id, ask)
    return await listed(ask.account_id, ports)


async def delete(ask: DeleteServiceAccount, ports: Ports) -> None:
    """Refuse the account for good. Raise `Forbidden`, `NotFound`."""
    await execute(service_account, ports.services, ask.account_id, ask)


async def listed(account_id: UUID, ports: Ports) -> ListedService:
    """Return the account. Raise `NotFound`."""
    found = await ports.service_accounts.one(account_id)
    if found is None:
        raise NotFound("service_account_not_found")
    return found


async def token(client_id: str, secret: str, scope: str | None, origin: str, ports: Ports) -> ServiceToken:
    """Return a token within the scopes that are asked for, all of them by default. Raise `ClientRefused`, after so many times
    `RateLimited`, `Malformed` for other scopes.

    Only what is wrong is counted, after it was looked at: nobody guesses 256 bits, many processes of one program begin at the
    same moment, and who knows an account's id keeps nobody out by trying."""
    client = await _client(client_id, secret, ports)
    if client is None:
        await ports.attempts.admit([f"address:{origin}", f"account:service {client_id}"])
        raise ClientRefused
    scopes = tuple(sorted(service_account.granted(client.scopes, scope)))
    access = await ports.access_tokens.issue_to_service(client, scopes, ports.now())
    return ServiceToken(access, scopes, int(ACCESS_LIFETIME.total_seconds()))


async def _client(client_id: str, secret: str, ports: Ports) -> Client | None:
    try:
        account = UUID(client_id)
    except ValueError:
        return None
    return await ports.service_accounts.authenticated(account, secret)


async def _with_secret(ask: CreateServiceAccount | AddServiceSecret, ports: Ports) -> tuple[ListedService, str]:
    async with ports.transaction():
        # Once: of two events that lost a race one may have been written, and goes with the transaction only.
        await execute(service_account, ports.services, ask.account_id, ask, attempts=1)
        secret = await ports.service_accounts.add_secret(ask.account_id, ask.secret_id, ask.at)
        return await listed(ask.account_id, ports), secret
