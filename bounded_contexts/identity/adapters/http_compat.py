"""The routes of an older user service, for clients that move over: switched on by `HEADWATER_COMPAT_ROUTES`."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from bounded_contexts.identity.adapters.bodies import NewUser, UserAnswer, user_answer
from bounded_contexts.identity.adapters.http import asker, read_user
from bounded_contexts.identity.application import commands
from bounded_contexts.identity.application.ports import Ports
from bounded_contexts.identity.application.profile import change_profile, erase
from bounded_contexts.identity.domain.commands import ChangeProfile, Erase, Register
from infra.http import SignedIn, problems
from infra.http_errors import invalid_answer
from infra.problems import status_of
from shared_kernel.errors import Malformed, Refused
from shared_kernel.permissions import require

MOST = 200  # users of a list


class OldUser(BaseModel):
    id: UUID
    name: str
    email: str | None  # of others, for who may list users


class OldRoute(APIRoute):
    """A route whose clients know 400 where newer ones are told 422."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                return invalid_answer(request, error, 400)
            except Refused as error:
                if status_of(error) != 422:
                    raise
                raise Malformed(error.code, error.detail) from error

        return answered


def compat_routes(ports: Ports) -> APIRouter:
    """Return the old routes under /users. Who may is decided as under /api/v1/users."""
    routes = APIRouter(
        prefix="/users", tags=["compatibility"], responses=problems(400, 401, 403, 503), route_class=OldRoute
    )

    @routes.post("", status_code=201, responses=problems(409))
    async def create_a_user(new: NewUser, user: SignedIn, response: Response) -> OldUser:
        """Open somebody's account; by `/api/v1/auth/password/forgot` they get a password."""
        ask = Register(user_id=uuid4(), email=new.email, name=new.name, at=ports.now())
        state, _ = await commands.create_user(ask, asker(user), ports)
        response.headers["Location"] = f"/users/{ask.user_id}"
        return _old(user_answer(ask.user_id, state))

    @routes.get("")
    async def list_users(user: SignedIn, limit: Annotated[int, Query(ge=1, le=MOST)] = MOST) -> list[OldUser]:
        """List the users who registered first."""
        require(user.roles, "identity:list")
        return [_old(user_answer(each.user_id, each)) for each in await ports.directory.page(limit, None)]

    @routes.get("/{user_id:uuid}", responses=problems(404))
    async def read_a_user(user_id: UUID, user: SignedIn, response: Response) -> OldUser:
        """Read a user."""
        return _old(await read_user(user_id, user, response, ports))

    @routes.put("/{user_id:uuid}", responses=problems(404, 409))
    async def replace_a_user(user_id: UUID, new: NewUser, user: SignedIn) -> OldUser:
        """Give a user another name and address; one's own address is changed under /api/v1/me, with the password."""
        ask = ChangeProfile(user_id=user_id, name=new.name, email=new.email, asker=asker(user), at=ports.now())
        state, _ = await change_profile(ask, "", ports)
        return _old(user_answer(user_id, state))

    @routes.delete("/{user_id:uuid}", status_code=204, responses=problems(404))
    async def erase_a_user(user_id: UUID, user: SignedIn) -> None:
        """Forget a person for good; oneself, having signed in within ten minutes."""
        await erase(Erase(user_id=user_id, asker=asker(user), at=ports.now()), user.session, ports)

    return routes


def _old(of: UserAnswer) -> OldUser:
    return OldUser(id=of.id, name=of.name, email=of.email)
