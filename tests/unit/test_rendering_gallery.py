"""The documents of docs/gallery render, and their pages are in the documentation."""

import subprocess
import sys
from pathlib import Path

import pytest

from bounded_contexts.documents.domain.rendering.fidelity import TARGETS, Target
from tests import gallery
from tests.unit.rendered import rendered

ROOT = gallery.GALLERY.parent


@pytest.mark.parametrize("path", gallery.documents(), ids=lambda path: path.stem)
@pytest.mark.parametrize("target", TARGETS)
def test_a_document_of_the_gallery_renders(path: Path, target: Target) -> None:
    made, rendering = rendered(path.read_bytes(), target)

    assert made
    assert set(rendering.losses.counts) <= ({"approximated", "dropped"} if target != "pdf" else set())


def test_a_process_that_forks_workers_has_read_what_the_gallery_needs() -> None:
    asked = """import sys
from bounded_contexts.documents.adapters import render_worker
from bounded_contexts.documents.adapters.engines.rendering import Rendering, render
from bounded_contexts.documents.domain.rendering.fidelity import TARGETS
from tests.gallery import documents
render_worker.prepare()
before = set(sys.modules)
for path in documents():
    for target in TARGETS:
        for _ in render(path.read_bytes(), target, Rendering()):
            pass
print(sorted({name for name in set(sys.modules) - before if not name.startswith("encodings.")}))"""

    done = subprocess.run((sys.executable, "-c", asked), capture_output=True, text=True, check=True, cwd=ROOT.parent)

    assert done.stdout == "[]\n"


def test_each_page_is_small_and_shown(tmp_path: Path) -> None:
    gallery.main(tmp_path)

    text = (ROOT / "rendering.md").read_text()
    for path in gallery.documents():
        committed = path.with_suffix(".png")
        assert committed.stat().st_size < 150_000
        assert (tmp_path / committed.name).read_bytes().startswith(b"\x89PNG")
        assert f"gallery/{committed.name}" in text
