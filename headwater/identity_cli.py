"""The commands `users` and `keys`."""

import asyncio
from typing import Annotated

import typer

from headwater.console import loaded, out, told

users = typer.Typer(no_args_is_help=True, help="Accounts, by whoever runs the installation.")
keys = typer.Typer(no_args_is_help=True, help="The keys that access tokens are signed with.")

Email = Annotated[str, typer.Argument(help="The account's address.")]
Role = Annotated[str, typer.Argument(help="moderator, operator, auditor or admin.")]


@users.command()
def grant(email: Email, role: Role) -> None:
    """Give a user a role: the way to the first administrator."""
    from headwater import tasks

    with told():
        user = asyncio.run(tasks.change_role(loaded(), email, role, granted=True))
        out.print(f"{user} has the role {role}")


@users.command()
def revoke(email: Email, role: Role) -> None:
    """Take a role from a user."""
    from headwater import tasks

    with told():
        user = asyncio.run(tasks.change_role(loaded(), email, role, granted=False))
        out.print(f"{user} does not have the role {role}")


@keys.command()
def rotate(
    at_once: Annotated[
        bool,
        typer.Option(
            "--at-once", help="Sign with it now: verifiers who have not fetched it refuse tokens until they do."
        ),
    ] = False,
) -> None:
    """Add a signing key, which takes over after five minutes; the former stay published while their tokens hold."""
    from headwater import tasks

    with told():
        kid = asyncio.run(tasks.rotate_keys(loaded(), at_once=at_once))
        out.print(f"key {kid} {'signs' if at_once else 'signs in five minutes'}")
