"""What documents may be told from outside; part of `Settings`."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings


class DocumentSettings(BaseSettings):
    """Conversion jobs (docs/documents.md)."""

    documents_directory: Path | None = Field(
        None,
        description="Directory of uploads and results of conversion jobs, the same for every process; default "
        "`<home>/documents` in development, required in production.",
    )
    documents_result_lifetime: int = Field(
        86_400, ge=60, le=31_536_000, description="Seconds that the result of a conversion job is kept."
    )
    documents_jobs_per_user: int = Field(
        20, ge=1, le=10_000, description="Conversion jobs of one user that wait or run."
    )
    documents_bytes_per_user: int = Field(
        4 << 30, ge=1 << 20, description="Bytes that uploads and results of one user take."
    )
    documents_jobs_at_once: int = Field(
        4, ge=2, le=100, description="Conversion jobs that a process works on side by side, half of them large ones."
    )
