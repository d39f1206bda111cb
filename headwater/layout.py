"""Which roles share a process in `headwater up`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from infra.local.errors import StackError

SOCKETS = "realtime.delivery"
OPEN = ("web", SOCKETS)  # the roles that people and their browsers connect to
RELAY = "relay"
MOST = 32  # processes of one role


@dataclass(frozen=True, slots=True)
class RoleProcess:
    """One process to start: its name and what it runs."""

    name: str
    roles: tuple[str, ...]


def is_open(roles: Iterable[str]) -> bool:
    """Return whether a process with these roles is reached from outside."""
    return not {*OPEN}.isdisjoint(roles)


def parse_scale(options: Sequence[str]) -> dict[str, int]:
    """Return `ROLE=N` options as a mapping. Raise `StackError` naming the wrong one."""
    scale = {}
    for option in options:
        role, _, count = option.partition("=")
        if not role or not count.isdecimal():
            raise StackError(f"--scale {option}: write ROLE=NUMBER, for example messaging.history=2")
        scale[role] = int(count)
    return scale


def layout(roles: Sequence[str], scale: Mapping[str, int]) -> tuple[RoleProcess, ...]:
    """Return the processes for all `roles`: `web`, `work` and `relay`, less the scaled roles, which get their own.

    Raise `StackError` for a role that does not exist or a number that makes no sense.
    """
    for role, count in scale.items():
        if role not in roles:
            raise StackError(f"--scale {role}={count}: no such role; `headwater roles` lists them")
        least = 1 if role in OPEN else 0
        if not least <= count <= MOST:
            raise StackError(f"--scale {role}={count}: choose {least} to {MOST}")
    shared = [role for role in roles if role not in scale]
    open_roles = tuple(role for role in OPEN if role in shared)
    work = tuple(role for role in shared if role not in (*OPEN, RELAY))
    groups = ((open_roles[0] if open_roles else "", open_roles), ("work", work))
    processes = [RoleProcess(name, members) for name, members in groups if members]
    processes += [RoleProcess(RELAY, (RELAY,))] if RELAY in shared else []
    processes += [RoleProcess(f"{role}.{n}", (role,)) for role, count in scale.items() for n in range(1, count + 1)]
    return tuple(processes)
