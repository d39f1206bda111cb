"""Node packages that tests use: installed as locked, once."""

import subprocess
from pathlib import Path

from tests.turns import taking_turns


def installed(project: Path) -> Path:
    """Return the project after `npm ci`, unless what is installed is what is locked."""
    lock, marker = project / "package-lock.json", project / "node_modules" / ".installed"
    with taking_turns(project):
        if not marker.exists() or marker.read_bytes() != lock.read_bytes():
            command = ("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
            subprocess.run(command, cwd=project, check=True, timeout=300)
            marker.write_bytes(lock.read_bytes())
    return project
