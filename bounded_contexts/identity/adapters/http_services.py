"""REST face of identity: service accounts, for administrators."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response

from bounded_contexts.identity.adapters.bodies import (
    NewService,
    NewServiceAnswer,
    ServiceAnswer,
    ServiceChange,
    ServicePage,
    service_answer,
)
from bounded_contexts.identity.adapters.http_keys import require_lately
from bounded_contexts.identity.application import service_accounts
from bounded_contexts.identity.application.ports import ListedService, Ports
from bounded_contexts.identity.domain.commands import (
    AddServiceSecret,
    Asker,
    ChangeServiceAccount,
    CreateServiceAccount,
    DeleteServiceAccount,
    RevokeServiceSecret,
)
from bounded_contexts.identity.domain.service_account import PERMISSION
from infra.http import Cursor, Limit, NextPage, SignedIn, Tokens, open_place, problems, seal_place
from shared_kernel.permissions import require

SERVICES = "service-accounts"


async def who_asks(user: SignedIn) -> Asker:
    """Return who asks. Whether they may is decided with the command."""
    return Asker(user.id, user.roles)


AskedBy = Annotated[Asker, Depends(who_asks)]


def service_routes(ports: Ports) -> APIRouter:
    """Return the routes under `/service-accounts`."""
    routes = APIRouter(prefix="/service-accounts", tags=["users"], responses=problems(403))

    @routes.post("", status_code=201)
    async def create_a_service_account(
        new: NewService, user: SignedIn, asker: AskedBy, response: Response
    ) -> NewServiceAnswer:
        """Give a program an account of its own; at `/oauth2/token` it gets tokens by its secret. It takes having signed in
        within ten minutes."""
        require(asker.roles, PERMISSION)
        await require_lately(user, ports)
        ask = CreateServiceAccount(
            account_id=uuid4(),
            secret_id=uuid4(),
            name=new.name,
            scopes=frozenset(new.scopes),
            asker=asker,
            at=ports.now(),
        )
        response.headers["Location"] = f"/api/v1/service-accounts/{ask.account_id}"
        return _shown_once(await service_accounts.create(ask, ports), response)

    @routes.get("")
    async def list_service_accounts(
        asker: AskedBy, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None
    ) -> ServicePage:
        """List service accounts, first created first."""
        require(asker.roles, PERMISSION)
        found = await ports.service_accounts.page(limit + 1, open_place(tokens, cursor, SERVICES))
        more = len(found) > limit
        last = found[limit - 1] if more else None
        next_ = seal_place(tokens, last.created_at, last.account_id, SERVICES) if last else None
        page = NextPage(next_cursor=next_, has_more=more)
        return ServicePage(data=[service_answer(each) for each in found[:limit]], page=page)

    @routes.get("/{account_id:uuid}")
    async def read_a_service_account(account_id: UUID, asker: AskedBy) -> ServiceAnswer:
        """Read a service account, and when its secrets were used."""
        require(asker.roles, PERMISSION)
        return service_answer(await service_accounts.listed(account_id, ports))

    @routes.patch("/{account_id:uuid}")
    async def change_a_service_account(
        account_id: UUID, new: ServiceChange, user: SignedIn, asker: AskedBy
    ) -> ServiceAnswer:
        """Give a service account another name or other scopes (RFC 7396); tokens say so from the next on. Scopes take having
        signed in within ten minutes."""
        require(asker.roles, PERMISSION)
        if new.scopes is not None:
            await require_lately(user, ports)
        ask = ChangeServiceAccount(
            account_id=account_id,
            name=new.name,
            scopes=None if new.scopes is None else frozenset(new.scopes),
            asker=asker,
            at=ports.now(),
        )
        return service_answer(await service_accounts.change(ask, ports))

    @routes.delete("/{account_id:uuid}", status_code=204)
    async def delete_a_service_account(account_id: UUID, user: SignedIn, asker: AskedBy) -> None:
        """Refuse a service account and its tokens for good; it takes having signed in within ten minutes."""
        require(asker.roles, PERMISSION)
        await require_lately(user, ports)
        await service_accounts.delete(DeleteServiceAccount(account_id=account_id, asker=asker, at=ports.now()), ports)

    @routes.post("/{account_id:uuid}/secrets", status_code=201, responses=problems(409))
    async def rotate_a_secret(account_id: UUID, user: SignedIn, asker: AskedBy, response: Response) -> NewServiceAnswer:
        """Add a secret beside the present one. Of two the older is over, and so are the tokens that were got by it. It takes
        having signed in within ten minutes."""
        require(asker.roles, PERMISSION)
        await require_lately(user, ports)
        ask = AddServiceSecret(account_id=account_id, secret_id=uuid4(), asker=asker, at=ports.now())
        return _shown_once(await service_accounts.rotate(ask, ports), response)

    @routes.delete("/{account_id:uuid}/secrets/{secret_id:uuid}", status_code=204)
    async def revoke_a_secret(account_id: UUID, secret_id: UUID, asker: AskedBy) -> None:
        """Refuse a secret, and the tokens that were got by it, from now on; twice is once."""
        ask = RevokeServiceSecret(account_id=account_id, secret_id=secret_id, asker=asker, at=ports.now())
        await service_accounts.change(ask, ports)

    return routes


def _shown_once(made: tuple[ListedService, str], response: Response) -> NewServiceAnswer:
    listed, secret = made
    response.headers["Cache-Control"] = "no-store"
    return NewServiceAnswer(**service_answer(listed).model_dump(), client_secret=secret)
