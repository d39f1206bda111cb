"""Servers that Debian packages, for tests: unpacked beside the other downloads, nothing is installed."""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from infra.local.artifacts import cache
from tests.turns import taking_turns

SOURCE = Path(__file__)


def unpacked(*packages: str) -> Path:
    """Return the directory `usr` of the packages, unpacked over each other; they are downloaded once, by name, without what
    they depend on."""
    key = hashlib.sha256(SOURCE.read_bytes() + "\n".join(packages).encode()).hexdigest()[:12]
    directory = cache() / f"{packages[0]}-{key}"
    directory.parent.mkdir(parents=True, exist_ok=True)
    with taking_turns(directory.parent):
        if directory.exists():
            return directory / "usr"
        with tempfile.TemporaryDirectory(dir=directory.parent) as fresh:
            Path(fresh).chmod(0o755)
            download = ("apt-get", "download", "--quiet", *packages)
            if subprocess.run(download, cwd=fresh, check=False, capture_output=True).returncode:
                subprocess.run(
                    ("apt-get", "update", "--quiet"), check=True, capture_output=True
                )  # a machine that is new
                subprocess.run(download, cwd=fresh, check=True, capture_output=True)
            target = Path(fresh, "unpacked")
            for package in Path(fresh).glob("*.deb"):
                subprocess.run(("dpkg-deb", "--extract", package, target), check=True, capture_output=True)
            target.rename(directory)
    return directory / "usr"


def with_libraries(usr: Path) -> dict[str, str]:
    """Return an environment in which programs find the libraries that were unpacked with them."""
    found = {str(library.parent) for library in usr.rglob("*.so*")}
    return os.environ | {"LD_LIBRARY_PATH": ":".join(sorted(found))}
