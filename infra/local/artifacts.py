"""Fetch the files of Kafka and the schema registry from Maven and check each against `artifacts.lock`.

`python -m infra.local.artifacts lock` writes that file again after a version below has been changed.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from infra.local.errors import FilesMissing, StackError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

Part = Literal["kafka", "registry", "tests", "verapdf"]
Progress = Callable[[int, int], None]  # bytes received so far, bytes to receive

# The second names the log back-end that Kafka's own distribution ships and its POM leaves out.
KAFKA = ("org.apache.kafka:kafka_2.13:4.3.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
REGISTRY = "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
# PostgreSQL with TLS, which the wheel is built without; nothing but the tests wants it.
TESTS = tuple(
    f"io.zonky.test.postgres:embedded-postgres-binaries-{platform}:18.4.0:jar"
    for platform in ("linux-amd64", "linux-arm64v8", "darwin-amd64", "darwin-arm64v8")
)
VERAPDF = "org.verapdf:validation-model:1.26.1"  # says of a PDF whether it keeps a standard; for tests, too
LOCK = Path(__file__).with_name("artifacts.lock")
DOWNLOADS = 4  # at a time
TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Artifact:
    """One line of the lock: where it is used, what it is called, what it must contain. `size` is in bytes."""

    part: Part
    group: str
    name: str
    version: str
    kind: str
    classifier: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{classifier}.{self.kind}"

    @property
    def path(self) -> Path:
        return cache() / "maven" / Path(*self.group.split(".")) / self.name / self.version / self.file_name

    def is_intact(self) -> bool:
        """Return whether the file is there with the locked content."""
        try:
            return self.path.stat().st_size == self.size and sha256(self.path) == self.sha256
        except OSError:
            return False


def cache() -> Path:
    """Return the user's download directory; all projects of a user share it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headwater"


def locked(part: Part) -> tuple[Artifact, ...]:
    """Return the part's pinned files in class-path order."""
    lines = (line.split() for line in LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return tuple(_artifact(*columns) for columns in lines if columns[0] == part)


def fetch(parts: Sequence[Part], progress: Progress | None = None) -> None:
    """Make sure that the parts' files are there and intact, fetching what is not. Raise `FilesMissing`.

    Repeating it is harmless and continues; when nothing is missing the network is not touched.
    """
    fetch_only([artifact for part in parts for artifact in locked(part)], progress)


def fetch_only(artifacts: Sequence[Artifact], progress: Progress | None = None) -> None:
    """Do for these files what `fetch` does for a part."""
    if missing_from(artifacts):
        with _cache_lock():  # another project may have fetched them while this one waited
            _download(missing_from(artifacts), progress or (lambda _done, _total: None))


def kafka_jars() -> tuple[Path, ...]:
    """Return Kafka's class path; `fetch` comes first."""
    return tuple(artifact.path for artifact in locked("kafka"))


def registry_directory() -> Path:
    """Return the registry's program, unpacking it the first time; `fetch` comes first. Raise `StackError`."""
    (artifact,) = locked("registry")
    directory = cache() / f"{artifact.name}-{artifact.version}-{artifact.sha256[:12]}"
    if not directory.is_dir():
        _unpack(artifact.path, directory)
    return directory


def missing_from(artifacts: Sequence[Artifact]) -> tuple[Artifact, ...]:
    """Return those whose file is absent or not what the lock says."""
    with ThreadPoolExecutor() as pool:
        intact = pool.map(Artifact.is_intact, artifacts)
        return tuple(artifact for artifact, is_intact in zip(artifacts, intact, strict=True) if not is_intact)


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(missing: Sequence[Artifact], progress: Progress) -> None:
    total, received = sum(artifact.size for artifact in missing), 0

    def count(size: int) -> None:
        nonlocal received
        received += size
        progress(received, total)

    with ThreadPoolExecutor(DOWNLOADS) as pool:
        context = _maven(count)
        for _ in pool.map(lambda artifact: _fetch_one(artifact, context), missing):
            pass


def _fetch_one(artifact: Artifact, context: "MavenContext") -> None:
    was_damaged = artifact.path.exists()
    for _ in range(2):  # a cut connection leaves a short file without an error
        artifact.path.unlink(missing_ok=True)
        component = context.project(artifact.group, artifact.name).at_version(artifact.version)
        try:
            component.artifact(artifact.classifier, artifact.kind).resolve()
        except (OSError, RuntimeError) as error:
            raise FilesMissing(_unreachable(artifact, error, was_damaged)) from error
        if artifact.is_intact():
            return
    raise FilesMissing(f"{artifact.path} is not the file that artifacts.lock names: delete it and try again")


def _unreachable(artifact: Artifact, error: Exception, was_damaged: bool) -> str:
    reason = type(error).__name__ if isinstance(error, OSError) else "not found"
    problem = (
        f"{artifact.path} was damaged, and cannot be downloaded again"
        if was_damaged
        else f"cannot download {artifact.file_name}"
    )
    return f"{problem} ({reason}): check the network and try again, finished files are kept"


def _maven(count: Callable[[int], None]) -> "MavenContext":
    # Imported here: it takes a third of a second, and only the first start downloads anything.
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def report(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield count

    logging.getLogger("jgo").setLevel(logging.CRITICAL)  # what it warns of is checked and said here
    repositories = {"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories
    resolver = PythonResolver(progress_callback=report)
    return MavenContext(resolver, cache() / "maven", [], repositories, TIMEOUT_S)


@contextmanager
def _cache_lock() -> Iterator[None]:
    try:
        cache().mkdir(parents=True, exist_ok=True)
        file = (cache() / "lock").open("w")
    except OSError as error:
        raise FilesMissing(
            f"cannot write {cache()} ({error.strerror}): set XDG_CACHE_HOME to a writable place"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _unpack(archive: Path, directory: Path) -> None:
    fresh = Path(tempfile.mkdtemp(prefix="unpack-", dir=cache()))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(fresh, filter="data")
        if not directory.is_dir():
            fresh.rename(directory)
    except OSError as error:
        raise StackError(f"cannot unpack {archive} into {cache()}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _artifact(part: str, coordinate: str, file_name: str, digest: str, size: str) -> Artifact:
    group, name, version, kind, classifier = (*coordinate.split(":"), "")[:5]
    known = next(known for known in get_args(Part) if known == part)
    artifact = Artifact(known, group, name, version, kind, classifier, digest, int(size))
    if artifact.file_name != file_name:
        raise StackError(f"{LOCK.name} is damaged at {file_name}: restore it from version control")
    return artifact


def write_lock() -> int:
    """Resolve the coordinates above afresh and write the lock. Return how many files it names."""
    lines = dict.fromkeys(line for coordinate in KAFKA for line in _lock_all("kafka", coordinate))
    header = "# part, Maven coordinate, file, SHA-256, bytes; made by `python -m infra.local.artifacts lock`\n"
    others: list[tuple[Part, str]] = [("registry", REGISTRY), *(("tests", coordinate) for coordinate in TESTS)]
    lines |= dict.fromkeys(_lock_line(part, *coordinate.split(":")) for part, coordinate in others)
    lines |= dict.fromkeys(_lock_all("verapdf", VERAPDF))
    text = "".join(f"{line}\n" for line in lines)
    LOCK.write_text(header + text, encoding="utf-8")
    return text.count("\n")


def _lock_all(part: Part, coordinate: str) -> Iterator[str]:
    """Lock a library and what it needs."""
    import jgo

    for found in jgo.resolve(coordinate):
        names = (found.groupId, found.artifactId, found.version, found.packaging, found.classifier)
        yield _lock_line(part, *(name for name in names if name))


def _lock_line(part: Part, group: str, name: str, version: str, kind: str, classifier: str = "") -> str:
    component = _maven(lambda _size: None).project(group, name).at_version(version)
    path = component.artifact(classifier, kind).resolve()
    coordinate = ":".join(name for name in (group, name, version, kind, classifier) if name)
    return f"{part} {coordinate} {path.name} {sha256(path)} {path.stat().st_size}"


if __name__ == "__main__":
    if sys.argv[1:] != ["lock"]:
        raise SystemExit("usage: python -m infra.local.artifacts lock")
    print(f"{LOCK.name}: {write_lock()} files")  # noqa: T201
