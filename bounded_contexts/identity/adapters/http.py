"""REST face of identity: users, oneself, the keys of tokens."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response

from bounded_contexts.identity.adapters.bodies import (
    HappeningPage,
    NewUser,
    PermissionAnswer,
    Profile,
    ProfileChange,
    SessionList,
    UserAnswer,
    UserPage,
    happening_answer,
    session_answer,
    user_answer,
)
from bounded_contexts.identity.adapters.cookies import Browsers
from bounded_contexts.identity.adapters.http_auth import auth_routes
from bounded_contexts.identity.adapters.http_keys import key_routes, person, require_lately
from bounded_contexts.identity.adapters.http_oidc import SignIns, login_routes, oidc_routes
from bounded_contexts.identity.adapters.http_services import service_routes
from bounded_contexts.identity.adapters.oidc import OidcProvider
from bounded_contexts.identity.adapters.signing_keys import PostgresSigningKeys
from bounded_contexts.identity.application import commands, second_factor, sessions
from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.application.profile import change_profile, erase, known_user
from bounded_contexts.identity.domain.commands import (
    Asker,
    Block,
    ChangeProfile,
    Erase,
    GrantRole,
    Register,
    RemoveSecondFactor,
    RevokeRole,
    Unblock,
)
from bounded_contexts.identity.domain.user import AskedByOthers
from bounded_contexts.identity.domain.user import User as UserState
from infra.access_tokens import KEYS_LIFESPAN_S, User
from infra.http import (
    AsOf,
    Cursor,
    IfMatch,
    Limit,
    MinPosition,
    NextPage,
    SignedIn,
    Tokens,
    open_place,
    open_to_all,
    problems,
    seal_place,
    wait_until_stored,
)
from shared_kernel.permissions import USER, permissions, require

USERS = "users"
SECURITY = "security-events"


def router(
    ports: Ports, issuer: str, browsers: Browsers, providers: Mapping[str, OidcProvider], sign_ins: SignIns
) -> APIRouter:
    """Return every route of the context."""
    routes = APIRouter(responses=problems(401, 404, 422, 503))
    routes.include_router(auth_routes(ports, issuer, browsers))
    routes.include_router(oidc_routes(ports, providers, sign_ins, browsers))
    routes.include_router(_users(ports))
    routes.include_router(_oneself(ports))
    routes.include_router(key_routes(ports))
    routes.include_router(service_routes(ports))
    routes.include_router(login_routes(ports))
    return routes


def key_set_routes(keys: PostgresSigningKeys) -> APIRouter:
    """Return what others verify our tokens with, at the path of RFC 8615."""
    routes = APIRouter(tags=["auth"], responses=problems(503))

    @routes.get("/.well-known/jwks.json", dependencies=[Depends(open_to_all)])
    async def key_set(response: Response) -> dict[str, Any]:
        """The public keys of access tokens (RFC 7517)."""
        response.headers["Cache-Control"] = f"public, max-age={KEYS_LIFESPAN_S}"
        return await keys.key_set()

    return routes


def _users(ports: Ports) -> APIRouter:
    routes = APIRouter(prefix="/users", tags=["users"], responses=problems(403))

    @routes.get("")
    async def list_users(
        user: SignedIn, tokens: Tokens, seen: MinPosition, limit: Limit = 50, cursor: Cursor = None
    ) -> UserPage:
        """List users, first registered first, for who may."""
        require(user.roles, "identity:list")
        await wait_until_stored(seen, ports.stored)
        found = await ports.directory.page(limit + 1, open_place(tokens, cursor, USERS))
        more = len(found) > limit
        last = found[limit - 1] if more else None
        next_ = seal_place(tokens, last.registered_at, last.user_id, USERS) if last else None
        page = NextPage(next_cursor=next_, has_more=more)
        return UserPage(data=[user_answer(each.user_id, each) for each in found[:limit]], page=page)

    @routes.post("", status_code=201, responses=problems(409))
    async def create_a_user(new: NewUser, user: SignedIn, response: Response) -> UserAnswer:
        """Open somebody's account; by `/auth/password/forgot` they get a password."""
        ask = Register(user_id=uuid4(), email=new.email, name=new.name, at=ports.now())
        state, version = await commands.create_user(ask, asker(user), ports)
        response.headers.update({"Location": f"/api/v1/users/{ask.user_id}", "ETag": f'"{version}"'})
        return user_answer(ask.user_id, state)

    @routes.get("/{user_id:uuid}")
    async def read_a_user(user_id: UUID, user: SignedIn, response: Response, as_of: AsOf) -> UserAnswer:
        """Read a user as they are, of others than yourself the name; or, if you may list users, all of them as they were."""
        return await read_user(user_id, user, response, ports, as_of)

    @routes.put("/{user_id:uuid}", responses=problems(409, 412))
    async def replace_a_profile(
        user_id: UUID, new: Profile, user: SignedIn, expected: IfMatch, response: Response
    ) -> UserAnswer:
        """Give a user another name and address; another's address takes having signed in within ten minutes."""
        if user_id != user.id:
            await require_lately(user, ports)
        return _changed(
            user_id, await change_profile(_ask(user_id, new, user, ports), new.password, ports, expected), response
        )

    @routes.patch("/{user_id:uuid}", responses=problems(409, 412))
    async def change_a_profile(
        user_id: UUID, new: ProfileChange, user: SignedIn, expected: IfMatch, response: Response
    ) -> UserAnswer:
        """Give a user another name or address (RFC 7396); another's address takes having signed in within ten minutes. Another
        address is verified anew."""
        if new.email is not None and user_id != user.id:
            await require_lately(user, ports)
        return _changed(
            user_id, await change_profile(_ask(user_id, new, user, ports), new.password, ports, expected), response
        )

    @routes.delete("/{user_id:uuid}", status_code=204, responses=problems(412))
    async def erase_a_user(user_id: UUID, user: SignedIn, expected: IfMatch) -> None:
        """Forget a person for good, as themselves or as an administrator, having signed in within ten minutes: nobody can read
        again what was personal."""
        await person(user)
        await erase(Erase(user_id=user_id, asker=asker(user), at=ports.now()), user.session, ports, expected)

    @routes.put("/{user_id:uuid}/roles/{role}", responses=problems(412))
    async def grant_a_role(
        user_id: UUID, role: str, user: SignedIn, expected: IfMatch, response: Response
    ) -> UserAnswer:
        """Let a user do what the role may, having signed in within ten minutes; twice is once. Tokens say so from the next
        refresh on."""
        await require_lately(user, ports)
        ask = GrantRole(user_id=user_id, role=role, asker=asker(user), at=ports.now())
        return await _change(ask, expected, response, ports)

    @routes.delete("/{user_id:uuid}/roles/{role}", responses=problems(412))
    async def revoke_a_role(
        user_id: UUID, role: str, user: SignedIn, expected: IfMatch, response: Response
    ) -> UserAnswer:
        """Take the role away; twice is once. Tokens say so from the next refresh on."""
        ask = RevokeRole(user_id=user_id, role=role, asker=asker(user), at=ports.now())
        return await _change(ask, expected, response, ports)

    @routes.delete("/{user_id:uuid}/mfa", status_code=204)
    async def remove_the_second_factor(user_id: UUID, user: SignedIn) -> None:
        """Let somebody who has lost device and recovery codes sign in with the password alone, as an administrator."""
        require(user.roles, "identity:change")
        await require_lately(user, ports)
        await second_factor.remove(RemoveSecondFactor(user_id=user_id, asker=asker(user), at=ports.now()), None, ports)

    @routes.post("/{user_id:uuid}/block")
    async def block_a_user(user_id: UUID, user: SignedIn, response: Response) -> UserAnswer:
        """Let a user do nothing any more: every session ends; twice is once."""
        return await _change(Block(user_id=user_id, asker=asker(user), at=ports.now()), None, response, ports)

    @routes.post("/{user_id:uuid}/unblock")
    async def unblock_a_user(user_id: UUID, user: SignedIn, response: Response) -> UserAnswer:
        """Let a user sign in again; twice is once."""
        return await _change(Unblock(user_id=user_id, asker=asker(user), at=ports.now()), None, response, ports)

    return routes


def _oneself(ports: Ports) -> APIRouter:
    routes = APIRouter(prefix="/me", tags=["users"])

    @routes.get("")
    async def read_oneself(user: SignedIn, response: Response) -> UserAnswer:
        """Read your own account."""
        return await read_user(user.id, user, response, ports)

    @routes.patch("", responses=problems(403, 409, 412))
    async def change_oneself(new: ProfileChange, user: SignedIn, expected: IfMatch, response: Response) -> UserAnswer:
        """Change your name or address (RFC 7396). Another address is verified anew."""
        return _changed(
            user.id, await change_profile(_ask(user.id, new, user, ports), new.password, ports, expected), response
        )

    @routes.get("/permissions")
    async def own_permissions(user: SignedIn) -> PermissionAnswer:
        """What your token lets you do."""
        return PermissionAnswer(roles=sorted({USER, *user.roles}), permissions=sorted(permissions(user.roles)))

    @routes.get("/sessions")
    async def own_sessions(user: SignedIn) -> SessionList:
        """Where you are signed in, last used first."""
        found = await ports.refresh_tokens.of_user(user.id)
        return SessionList(data=[session_answer(each, user.session) for each in found])

    @routes.get("/security-events")
    async def own_security_events(
        user: SignedIn, tokens: Tokens, limit: Limit = 50, cursor: Cursor = None
    ) -> HappeningPage:
        """What concerned who may act as you, last first: sign-ins and where, passwords, sessions, keys, roles."""
        own = f"{SECURITY} {user.id}"
        found = await ports.security_history.page(user.id, limit + 1, open_place(tokens, cursor, own))
        more = len(found) > limit
        next_ = seal_place(tokens, found[limit - 1].at, found[limit - 1].id, own) if more else None
        page = NextPage(next_cursor=next_, has_more=more)
        return HappeningPage(data=[happening_answer(each) for each in found[:limit]], page=page)

    @routes.delete("/sessions/{session_id:uuid}", status_code=204)
    async def end_a_session(session_id: UUID, user: SignedIn) -> None:
        """Sign out there, sockets included; twice is once."""
        await sessions.end_session(user.id, session_id, "revoked", ports.now(), ports)

    @routes.delete("/sessions", status_code=204)
    async def end_other_sessions(user: SignedIn) -> None:
        """Sign out everywhere but here."""
        kept = [user.session] if user.session else []
        await sessions.end_sessions(user.id, "revoked", ports.now(), ports, kept)

    return routes


def asker(user: User) -> Asker:
    return Asker(user.id, user.roles)


def may_see_all_of(id_: UUID, user: User) -> bool:
    """Return whether who asks sees more of the user than the name."""
    return id_ == user.id or "identity:list" in permissions(user.roles)


async def read_user(
    id_: UUID, user: User, response: Response, ports: Ports, as_of: datetime | None = None
) -> UserAnswer:
    """Return the user as far as the asker may know them. Raise `NotFound`, `Forbidden`."""
    state, version = await known_user(id_, asker(user), ports, as_of)
    response.headers["ETag"] = f'"{version}"'
    return user_answer(id_, state, whole=may_see_all_of(id_, user))


def _ask(id_: UUID, new: Profile | ProfileChange, user: User, ports: Ports) -> ChangeProfile:
    return ChangeProfile(user_id=id_, name=new.name, email=new.email, asker=asker(user), at=ports.now())


async def _change(ask: AskedByOthers, expected: int | None, response: Response, ports: Ports) -> UserAnswer:
    return _changed(ask.user_id, await commands.change_user(ask, ports, expected), response)


def _changed(id_: UUID, outcome: tuple[UserState, int], response: Response) -> UserAnswer:
    state, version = outcome
    response.headers["ETag"] = f'"{version}"'
    return user_answer(id_, state)
