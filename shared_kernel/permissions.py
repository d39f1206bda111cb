"""Who may do what: roles, and the permissions `context:action[:own]` they stand for.

`…:own` is for what belongs to the asker. Everybody who is signed in has the role `user`, whatever else they have.
"""

import re
from collections.abc import Iterable, Mapping

from shared_kernel.errors import Forbidden

OWN = ":own"
USER = "user"
SERVICE = "service"  # of programs with an account of their own; nobody is granted it, and it permits what `user` does
ROLES: Mapping[str, frozenset[str]] = {
    USER: frozenset({"documents:convert", "documents:render", "identity:change:own", "identity:erase:own"}),
    "moderator": frozenset({"messaging:former"}),
    "operator": frozenset({"documents:read", "operations:groups", "operations:sagas"}),
    "staff": frozenset(
        {"documents:assets", "documents:templates", "inventory:manage", "ordering:read", "ordering:fulfil"}
    ),
    "auditor": frozenset({"audit:read", "identity:list"}),
    "admin": frozenset(
        {
            "documents:assets",
            "documents:read",
            "documents:templates",
            "identity:list",
            "identity:create",
            "identity:change",
            "identity:roles",
            "identity:block",
            "identity:erase",
            "identity:services",
            "inventory:manage",
            "messaging:former",
            "messaging:erase",
            "operations:groups",
            "operations:sagas",
            "ordering:read",
            "ordering:fulfil",
            "audit:read",
            "payments:read",
            "realtime:publish",
            "realtime:keys",
            "realtime:connections",
            "realtime:webhooks",
        }
    ),
}
# What a key or a service account is limited to: the first word of a route's path, and whether it changes anything. Signing in,
# keys and service accounts themselves are for people.
RESOURCES = (
    "admin",
    "audit",
    "conversations",
    "documents",
    "me",
    "messages",
    "notifications",
    "orders",
    "payments",
    "stock-items",
    "users",
)
PUBLISH = "realtime:publish"  # a scope as well: to every channel, and with `:GLOB` behind it to those that fit
CONNECTIONS = "realtime:connections"  # a permission, and a scope of service accounts
GRANT_CHANNELS = "realtime:grant"  # make channel tokens, which API keys may not; `:GLOB` as with `PUBLISH`
SCOPES = frozenset(f"{resource}:{action}" for resource in RESOURCES for action in ("read", "write")) | {
    PUBLISH,
    CONNECTIONS,
    GRANT_CHANNELS,
}
BY_CHANNEL = re.compile(rf"(?:{PUBLISH}|{GRANT_CHANNELS}):[A-Za-z0-9._:/*-]{{1,200}}")


def is_scope(scope: str) -> bool:
    """Return whether a key or a service account may have the scope."""
    return scope in SCOPES or BY_CHANNEL.fullmatch(scope) is not None


def permissions(roles: Iterable[str]) -> frozenset[str]:
    """Return what somebody with these roles may do; roles nobody knows give nothing."""
    return frozenset().union(ROLES[USER], *(ROLES.get(role, frozenset()) for role in roles))


def require(roles: Iterable[str], permission: str, *, own: bool = False) -> None:
    """Raise `Forbidden` unless one of the roles gives the permission, or gives it for what is one's `own` and this is."""
    held = permissions(roles)
    if permission not in held and not (own and permission + OWN in held):
        raise Forbidden("forbidden", f"that takes the permission {permission}")
