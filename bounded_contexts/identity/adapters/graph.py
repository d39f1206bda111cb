"""GraphQL face of identity: users, oneself. The rules are those of the REST routes."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

import strawberry

from bounded_contexts.identity.adapters.bodies import NewUser, ProfileChange, user_answer
from bounded_contexts.identity.adapters.http import USERS, asker, may_see_all_of
from bounded_contexts.identity.application import commands
from bounded_contexts.identity.application.ports import Directory, Person, Ports
from bounded_contexts.identity.application.profile import change_profile, known_user
from bounded_contexts.identity.domain.commands import ChangeProfile, Register
from bounded_contexts.identity.domain.user import User as UserState
from infra.access_tokens import User as SignedIn
from infra.graph import FIRST, Connection, Context, Info, Part, Users, page_by_place, scoped, seen
from infra.http import not_in_future
from shared_kernel.permissions import require


@strawberry.type(description="Others than the user and who may list users see id and name only.")
class User:
    id: UUID
    name: str | None = strawberry.field(
        description="Null of one who has no account here: erased, or of another issuer."
    )
    email: str | None = None
    email_verified: bool | None = None
    roles: list[str] | None = None
    registered_at: datetime | None = None
    blocked_at: datetime | None = None
    version: int | None = strawberry.field(
        default=None, description="For `expectedVersion`; of `me`, `user` and what a change returns."
    )


@strawberry.input(description="What is given is changed. Another address of one's own takes the password.")
class ProfileInput:
    name: str | None = None
    email: str | None = None
    password: str = ""
    expected_version: int | None = strawberry.field(
        default=None, description="The `version` the change is for; another is `precondition_failed`."
    )


@strawberry.input(description="Without a password: the user asks for one by mail.")
class NewUserInput:
    email: str
    name: str


def users(directory: Directory) -> Users:
    """Return users as other contexts name them."""

    async def named(ids: list[UUID]) -> Sequence[Person | None]:
        found = await directory.named(ids)
        return [found.get(id_) for id_ in ids]

    async def one(context: Context, id_: UUID) -> User:
        person = await context.load(named, id_)
        return _shown(id_, person, whole=may_see_all_of(id_, context.user)) if person else User(id=id_, name=None)

    return Users(User | None, Connection[User] | None, one)


def graph(ports: Ports) -> Part:
    """Return what the context offers to the schema."""

    async def changed(user_id: UUID, new: ProfileInput, user: SignedIn) -> User:
        given = {"name": new.name, "email": new.email, "password": new.password}
        body = ProfileChange.model_validate({name: value for name, value in given.items() if value is not None})
        ask = ChangeProfile(user_id=user_id, name=body.name, email=body.email, asker=asker(user), at=ports.now())
        state, version = await change_profile(ask, body.password, ports, new.expected_version)
        return _shown(user_id, state, version=version)

    @strawberry.type
    class Query:
        @scoped("me:read", "Your own account.")
        async def me(self, info: Info) -> User | None:
            user = info.context.user
            state, version = await known_user(user.id, asker(user), ports)
            return _shown(user.id, state, version=version)

        @scoped("users:read", "A user as they are; yourself, or anybody if you may list users, as they were.")
        async def user(self, info: Info, id: UUID, as_of: datetime | None = None) -> User | None:  # noqa: A002
            user = info.context.user
            state, version = await known_user(id, asker(user), ports, not_in_future(as_of) if as_of else None)
            return _shown(id, state, whole=may_see_all_of(id, user), version=version)

        @scoped("users:read", "Users, first registered first, for who may.")
        async def users(
            self, info: Info, first: int = FIRST, after: str | None = None, min_position: str | None = None
        ) -> Connection[User] | None:
            require(info.context.user.roles, "identity:list")
            await seen(info.context, min_position, ports.stored)
            return await page_by_place(
                info.context,
                ports.directory.page,
                lambda person: _shown(person.user_id, person),
                lambda person: (person.registered_at, person.user_id),
                first,
                after,
                USERS,
            )

    @strawberry.type
    class Mutation:
        @scoped("me:write", "Change your name or address.")
        async def update_me(self, info: Info, input: ProfileInput) -> User | None:  # noqa: A002
            return await changed(info.context.user.id, input, info.context.user)

        @scoped("users:write", "Change a user's name or address.")
        async def update_user(self, info: Info, id: UUID, input: ProfileInput) -> User | None:  # noqa: A002
            return await changed(id, input, info.context.user)

        @scoped("users:write", "Open somebody's account, for who may.")
        async def create_user(self, info: Info, input: NewUserInput) -> User | None:  # noqa: A002
            new = NewUser.model_validate({"email": input.email, "name": input.name})
            ask = Register(user_id=uuid4(), email=new.email, name=new.name, at=ports.now())
            state, version = await commands.create_user(ask, asker(info.context.user), ports)
            return _shown(ask.user_id, state, version=version)

    return Part(Query, Mutation)


def _shown(id_: UUID, of: UserState | Person, *, whole: bool = True, version: int | None = None) -> User:
    return User(**user_answer(id_, of, whole=whole).model_dump(), version=version)
