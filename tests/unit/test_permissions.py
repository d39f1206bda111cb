"""Roles and what they permit."""

import pytest

from shared_kernel.errors import Forbidden
from shared_kernel.permissions import ROLES, permissions, require


def test_everybody_has_the_role_user_and_unknown_roles_give_nothing() -> None:
    assert permissions([]) == permissions(["user"]) == permissions(["emperor"]) == ROLES["user"]


def test_roles_add_up() -> None:
    assert permissions(["moderator", "auditor"]) == ROLES["user"] | ROLES["moderator"] | ROLES["auditor"]


def test_what_is_ones_own_takes_less() -> None:
    require([], "identity:change", own=True)
    require(["admin"], "identity:change")
    for roles, own in (([], False), (["moderator"], False)):
        with pytest.raises(Forbidden):
            require(roles, "identity:change", own=own)


def test_a_permission_for_all_is_not_one_for_ones_own_alone() -> None:
    with pytest.raises(Forbidden):
        require(["admin"], "identity:nothing", own=True)


@pytest.mark.parametrize("permission", sorted(frozenset().union(*ROLES.values())))
def test_permissions_are_named_by_context_and_action(permission: str) -> None:
    context, action, *own = permission.split(":")

    assert context
    assert action
    assert own in ([], ["own"])
