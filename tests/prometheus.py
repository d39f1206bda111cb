"""Prometheus and its promtool, for tests: from the distribution's package, unpacked beside the other downloads."""

import hashlib
import subprocess
import tempfile
from pathlib import Path

from infra.local.artifacts import cache

SOURCE = Path(__file__)


def installed() -> Path:
    """Return the directory of `prometheus` and `promtool`; the package is downloaded once, nothing is installed."""
    directory = cache() / f"prometheus-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}"
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent) as fresh:
            Path(fresh).chmod(0o755)
            subprocess.run(("apt-get", "download", "--quiet", "prometheus"), cwd=fresh, check=True, capture_output=True)
            (package,) = Path(fresh).glob("*.deb")
            unpacked = Path(fresh, "unpacked")
            subprocess.run(("dpkg-deb", "--extract", package, unpacked), check=True, capture_output=True)
            unpacked.rename(directory)
    return directory / "usr" / "bin"
