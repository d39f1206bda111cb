"""Prometheus and its promtool, for tests: from the distribution's package, unpacked beside the other downloads."""

import hashlib
import subprocess
import tempfile
from pathlib import Path

from infra.local.artifacts import cache
from tests.turns import taking_turns

SOURCE = Path(__file__)


def installed() -> Path:
    """Return the directory of `prometheus` and `promtool`; the package is downloaded once, nothing is installed."""
    directory = cache() / f"prometheus-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}"
    directory.parent.mkdir(parents=True, exist_ok=True)
    with taking_turns(directory.parent):
        if directory.exists():
            return directory / "usr" / "bin"
        with tempfile.TemporaryDirectory(dir=directory.parent) as fresh:
            Path(fresh).chmod(0o755)
            download = ("apt-get", "download", "--quiet", "prometheus")
            if subprocess.run(download, cwd=fresh, check=False, capture_output=True).returncode:
                subprocess.run(
                    ("apt-get", "update", "--quiet"), check=True, capture_output=True
                )  # a machine that is new
                subprocess.run(download, cwd=fresh, check=True, capture_output=True)
            (package,) = Path(fresh).glob("*.deb")
            unpacked = Path(fresh, "unpacked")
            subprocess.run(("dpkg-deb", "--extract", package, unpacked), check=True, capture_output=True)
            unpacked.rename(directory)
    return directory / "usr" / "bin"
