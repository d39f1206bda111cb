"""The system account that PostgreSQL runs under when we are root, which it refuses to be."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from infra.local.errors import StackError

ACCOUNT = "headwater-postgres"
OUTSIDE = Path("/var/lib/headwater")  # for what the account cannot reach, such as a project below /root


def needed() -> str | None:
    """Return the account to run PostgreSQL under, made when missing; None when we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        _create()
    return ACCOUNT


def can_be_made() -> bool:
    """Return whether the account is there or there is a program to make it."""
    try:
        return bool(pwd.getpwnam(ACCOUNT))
    except KeyError:
        return Path(_system_program("useradd")).is_absolute()


def may_enter(user: str, directory: Path) -> bool:
    """Return whether the account can reach the directory through all that lie above it."""
    ask = (_system_program("test"), "-x", directory)
    return subprocess.run(ask, user=user, group=user, extra_groups=[], cwd="/", check=False).returncode == 0


def give(user: str, directory: Path) -> Path:
    """Make the directory, or one outside that it links to, the account's own. Return where it really is."""
    if not directory.exists():  # also a link whose target is gone
        directory.unlink(missing_ok=True)
        directory.mkdir(parents=True)
        _hand_over(user, directory)
        if not may_enter(user, directory):
            directory.rmdir()
            directory.symlink_to(_outside())
    real = directory.resolve()
    _hand_over(user, real)
    return real


def copy_outside(tree: Path, name: str) -> Path:
    """Return a copy of `tree` that everyone can read, made the first time."""
    copy = OUTSIDE / name
    if not copy.is_dir():
        fresh = _outside()
        shutil.copytree(tree, fresh, dirs_exist_ok=True)
        fresh.chmod(0o755)
        copy.parent.mkdir(mode=0o755, exist_ok=True)
        fresh.rename(copy)
    return copy


def _hand_over(user: str, directory: Path) -> None:
    entry = pwd.getpwnam(user)
    os.chown(directory, entry.pw_uid, entry.pw_gid)
    directory.chmod(0o700)


def _system_program(name: str) -> str:
    # A user's PATH often lacks the directories of the administrator, or everything.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:{os.defpath}") or name


def _outside() -> Path:
    OUTSIDE.mkdir(mode=0o755, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=OUTSIDE))


def _create() -> None:
    command = (
        _system_program("useradd"),
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/usr/sbin/nologin",
        ACCOUNT,
    )
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise StackError(
            f"PostgreSQL does not run as root and its account {ACCOUNT} cannot be made: start as another user"
        ) from None
