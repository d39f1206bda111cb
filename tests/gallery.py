"""The pages of docs/gallery, made by the system itself: `make gallery`, or `python -m tests.gallery [DIRECTORY]`."""

import sys
from pathlib import Path

import pypdfium2

from bounded_contexts.documents.adapters.engines.rendering import Rendering, render

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"
SCALE = 0.9  # pixels a point: small files in the repository
COLORS = 64


def documents() -> list[Path]:
    """Return the documents, in order of their names."""
    return sorted(GALLERY.glob("*.json"))


def pages(path: Path) -> tuple[bytes, list[pypdfium2.PdfPage]]:
    """Return the document as PDF, and its pages."""
    made = b"".join(render(path.read_bytes(), "pdf", Rendering()))
    return made, list(pypdfium2.PdfDocument(made))


def main(directory: Path = GALLERY) -> None:
    """Write each document's PDF, and its first page as PNG."""
    for path in documents():
        made, found = pages(path)
        (directory / path.with_suffix(".pdf").name).write_bytes(made)
        image = found[0].render(scale=SCALE).to_pil().quantize(COLORS)
        image.save(directory / path.with_suffix(".png").name, optimize=True)


if __name__ == "__main__":
    main(*[Path(word) for word in sys.argv[1:]])
