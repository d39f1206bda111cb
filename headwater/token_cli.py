"""The commands `token` and `user`."""

from datetime import timedelta
from typing import Annotated
from uuid import NAMESPACE_DNS, UUID, uuid5

import typer

from headwater.configured import shared_key_tokens
from headwater.console import loaded, told
from headwater.settings import SettingsError
from infra.local.errors import StackError


def token(
    user: Annotated[str, typer.Argument(help="A UUID, or any name: the same name is the same user.")],
    role: Annotated[list[str] | None, typer.Option(help="A role to carry; may be repeated.")] = None,
    hours: Annotated[float, typer.Option(min=0.001, max=24 * 30, help="How long it is valid.")] = 12.0,
) -> None:
    """Print an access token for development. Refused in production mode."""
    with told():
        settings = loaded()
        if settings.mode == "production":
            raise SettingsError(
                "`headwater token` is for development; in production tokens come from the identity provider"
            )
        tokens = shared_key_tokens(settings)
        print(tokens.issue(user_id(user), tuple(role or ()), timedelta(hours=hours)))  # noqa: T201 – nothing else may be on the line


def user(name: Annotated[str, typer.Argument(help="Any name.")]) -> None:
    """Print the user id that `headwater token NAME` speaks for."""
    with told():
        print(user_id(name))  # noqa: T201


def user_id(name: str) -> UUID:
    """Return the id a development name stands for: itself if it is a UUID. Raise `StackError` for an empty one."""
    if not name.strip():
        raise StackError("the user is empty: give a UUID, or any name, which always stands for the same UUID")
    try:
        return UUID(name)
    except ValueError:
        return uuid5(NAMESPACE_DNS, f"{name}.headwater.invalid")
