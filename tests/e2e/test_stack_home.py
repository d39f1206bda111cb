"""What a running stack leaves open to others on the machine."""

import os

from tests.e2e.conftest import Stack
from tests.e2e.test_local_stack_home import rights_of_others


def test_no_other_account_can_read_what_a_running_stack_keeps(stack: Stack) -> None:
    home = stack.home.directory
    children = {path.name: rights_of_others(path) for path in home.iterdir()}

    assert {"kafka", "logs", "postgres", "registry", "stack.json"} <= children.keys()
    assert not any(children.values()), children
    assert rights_of_others(home) in ((0o011,) if os.geteuid() == 0 else (0,))
    assert not {path for path in home.rglob("*") if path.is_file() and rights_of_others(path)}
