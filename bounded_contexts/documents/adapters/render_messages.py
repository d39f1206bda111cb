"""What goes into a worker that renders, and what comes out at its end."""

import msgspec

from bounded_contexts.documents.adapters.worker_messages import Failed, raised
from bounded_contexts.documents.application.asset_ports import Facts
from bounded_contexts.documents.application.document_ports import Findings, RenderReport
from bounded_contexts.documents.application.template_ports import Inspection
from bounded_contexts.documents.domain.asset import MediaType
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Invalid, Problem
from shared_kernel.errors import HeadwaterError


class Render(msgspec.Struct, tag=True, frozen=True):
    """Write the file; `told` are the warnings that are told with their places."""

    target: Target
    limits: RenderLimits
    told: int


class Find(msgspec.Struct, tag=True, frozen=True):
    """Find what is wrong, and what the targets would do; no output."""

    targets: tuple[Target, ...]
    limits: RenderLimits
    told: int


class Preview(msgspec.Struct, tag=True, frozen=True):
    """Write a page of the PDF, counted from 1, as PNG of so many pixels in width."""

    page: int
    width: int
    limits: RenderLimits


class Inspect(msgspec.Struct, tag=True, frozen=True):
    """Find what a file is as a template, and what it needs; no output."""

    limits: RenderLimits


class Examine(msgspec.Struct, tag=True, frozen=True):
    """Look an asset through; no output."""

    media_type: MediaType
    limits: RenderLimits


class Rendered(msgspec.Struct, tag=True, frozen=True):
    report: RenderReport


class Found(msgspec.Struct, tag=True, frozen=True):
    findings: Findings


class Shown(msgspec.Struct, tag=True, frozen=True):
    pages: int


class Inspected(msgspec.Struct, tag=True, frozen=True):
    inspection: Inspection


class Examined(msgspec.Struct, tag=True, frozen=True):
    facts: Facts


class Wrong(msgspec.Struct, tag=True, frozen=True):
    """The instructions are none; all that was found."""

    problems: tuple[Problem, ...]


Outcome = Rendered | Found | Shown | Inspected | Examined
encode = msgspec.msgpack.encode
task_of = msgspec.msgpack.Decoder(Render | Find | Preview | Inspect | Examine).decode
outcome_of = msgspec.msgpack.Decoder(Outcome | Wrong | Failed).decode


def error_of(outcome: Wrong | Failed) -> HeadwaterError:
    """Return the error as it was raised in the worker."""
    return Invalid(outcome.problems) if isinstance(outcome, Wrong) else raised(outcome)
