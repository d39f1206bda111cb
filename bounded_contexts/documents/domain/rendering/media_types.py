"""What the files of each target are called on the web."""

from typing import Final

from bounded_contexts.documents.domain.rendering.fidelity import Target

MEDIA_TYPES: Final[dict[Target, str]] = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
