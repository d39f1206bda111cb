"""REST face of identity: API keys. A key cannot make keys: its owner signs in for that."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response

from bounded_contexts.identity.adapters.bodies import KeyList, NewKey, NewKeyAnswer, key_answer
from bounded_contexts.identity.application.api_keys import create_key, revoke_key
from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.application.sessions import require_recent
from bounded_contexts.identity.domain.commands import CreateApiKey, RevokeApiKey
from infra.access_tokens import User
from infra.http import SignedIn, problems
from shared_kernel.errors import Forbidden


async def person(user: SignedIn) -> User:
    """Return who has signed in. Raise `Forbidden` for a key."""
    if user.scopes is not None:
        raise Forbidden("scope_missing", "it takes signing in")
    return user


Person = Annotated[User, Depends(person)]


async def require_lately(user: User, ports: Ports) -> None:
    """Raise `Forbidden` for a key, and for a session that was opened a while ago: this outlasts the token, which may be
    stolen."""
    await person(user)
    await require_recent(user.id, user.session, ports.now(), ports)


def key_routes(ports: Ports) -> APIRouter:
    """Return the routes under `/me/api-keys`."""
    routes = APIRouter(prefix="/me/api-keys", tags=["users"], responses=problems(403))

    @routes.post("", status_code=201)
    async def make_a_key(new: NewKey, user: Person, response: Response) -> NewKeyAnswer:
        """Make a key that does what you may do, within its scopes; it takes having signed in within ten minutes."""
        await require_lately(user, ports)
        ask = CreateApiKey(
            key_id=uuid4(),
            user_id=user.id,
            name=new.name,
            scopes=frozenset(new.scopes),
            expires_at=new.expires_at,
            at=ports.now(),
        )
        listed, key = await create_key(ask, user.session, ports)
        response.headers["Cache-Control"] = "no-store"
        return NewKeyAnswer(**key_answer(listed).model_dump(), key=key)

    @routes.get("")
    async def own_keys(user: Person) -> KeyList:
        """Your keys, last made first."""
        return KeyList(data=[key_answer(each) for each in await ports.api_keys.of_user(user.id)])

    @routes.delete("/{key_id:uuid}", status_code=204)
    async def revoke_a_key(key_id: UUID, user: Person) -> None:
        """Have the key refused from now on; twice is once."""
        await revoke_key(RevokeApiKey(key_id=key_id, user_id=user.id, at=ports.now()), ports)

    return routes
