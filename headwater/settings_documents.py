"""What documents may be told from outside; part of `Settings`."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class DocumentSettings(BaseSettings):
    """Conversions that somebody waits for, conversion jobs (docs/documents.md), and documents (docs/generation.md)."""

    documents_workers: int = Field(
        8, ge=1, le=256, description="Documents that a process converts at once for those who wait, each in a worker."
    )
    documents_per_user: int = Field(
        4, ge=1, le=256, description="Documents that a process converts at once for one user who waits."
    )
    documents_input_limit: int = Field(
        2 << 30, ge=1, le=1 << 40, description="Bytes of a document that is sent to be converted."
    )
    documents_worker_memory: int = Field(
        1 << 30, ge=64 << 20, le=1 << 40, description="Bytes that the conversion of one document may take."
    )
    documents_worker_seconds: int = Field(
        300, ge=1, le=86_400, description="Processor time that the conversion of one document may take."
    )
    documents_timeout: float = Field(
        600.0, gt=0, le=86_400, description="Time that it may take with sending, from the first byte to the last."
    )
    documents_spool_directory: Path | None = Field(
        None,
        description="Where workers and results put what does not fit into memory, in files without names; unset: where the "
        "system has temporary files.",
    )
    documents_directory: Path | None = Field(
        None,
        description="Directory of uploads and results of conversion jobs, the same for every process; default "
        "`<home>/documents` in development, required in production unless there is a bucket.",
    )
    documents_bucket: str | None = Field(
        None,
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*/?$",
        description="`s3://bucket/prefix`, in place of the directory, by the extra `s3`; endpoint, region and credentials are "
        "AWS's own variables, files and roles.",
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
    documents_render_input_limit: int = Field(
        16 << 20, ge=1 << 10, le=64 << 20, description="Bytes of a request to render, validate or preview a document."
    )
    documents_render_rows_limit: int = Field(
        256 << 20,
        ge=1 << 10,
        le=1 << 30,
        description="Bytes of a document to render with rows that follow it in lines.",
    )
    documents_render_memory: int = Field(
        1 << 30, ge=128 << 20, le=1 << 40, description="Bytes that the rendering of one document may take."
    )
    documents_render_seconds: int = Field(
        300, ge=1, le=86_400, description="Processor time that the rendering of one document may take."
    )
    documents_preview_seconds: int = Field(
        20, ge=1, le=3_600, description="Processor time that validating a document, or showing a page of it, may take."
    )
    documents_previews_at_once: int = Field(
        4, ge=1, le=256, description="Documents that a process validates or shows at once, each in a worker."
    )
    documents_renderings_at_once: int = Field(
        4, ge=2, le=100, description="Documents that a process renders side by side, half of them large ones."
    )
    documents_renderings_per_user: int = Field(
        50, ge=1, le=10_000, description="Documents of one user that wait or are rendered."
    )
    documents_rendered_bytes_per_user: int = Field(
        1 << 30, ge=1 << 20, description="Bytes that the documents of one user take, files and instructions."
    )
    documents_rendered_lifetime: int = Field(
        604_800, ge=60, le=315_360_000, description="Seconds that a rendered document is kept."
    )
    documents_invoice_seller: str = Field(
        "", max_length=500, description="Name and address on invoices, line by line, with `;` between them."
    )
    documents_invoice_locale: str = Field("en", description="Locale of their numbers and dates (CLDR): `en-GB`.")
    documents_invoice_lifetime: int = Field(
        315_360_000, ge=60, le=3_153_600_000, description="Seconds that an invoice is kept, ten years unless said."
    )

    @field_validator("documents_invoice_locale")
    @classmethod
    def _is_locale(cls, locale: str) -> str:
        from babel import Locale, UnknownLocaleError  # not for every command: most have nothing to do with locales

        try:
            Locale.parse(locale, sep="-")
        except UnknownLocaleError as error:
            raise ValueError(str(error)) from None
        return locale
