"""What was said in a conversation, as instructions to render (docs/rendering.md). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bounded_contexts.documents.domain.rendering.fidelity import Target

DELETED: Final = "(deleted)"


@dataclass(frozen=True, slots=True)
class Said:
    """One message; `text` is None of one that was deleted."""

    sender_id: UUID
    text: str | None
    at: datetime
    is_edited: bool


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation as one of its members may read it; the messages oldest first, the newest of them if it `is_cut`."""

    conversation_id: UUID
    title: str | None
    member_ids: tuple[UUID, ...]
    messages: tuple[Said, ...]
    is_cut: bool


def transcript(of: Transcript, names: Mapping[UUID, str], target: Target, at: datetime) -> dict[str, Any]:
    """Return the instructions; people who have no name here are their ids. What they have written is data, never a template."""

    def name(id_: UUID) -> str:
        return names.get(id_) or str(id_)

    data = {
        "title": of.title or "Conversation",
        "members": [name(id_) for id_ in of.member_ids],
        "messages": [
            {
                "at": {"$datetime": f"{said.at:%Y-%m-%dT%H:%M:%SZ}"},
                "who": name(said.sender_id),
                "text": DELETED if said.text is None else said.text,
                "note": "edited" if said.is_edited else "",
            }
            for said in of.messages
        ],
    }
    cut = f"The last {len(of.messages)} messages." if of.is_cut else f"{len(of.messages)} messages."
    return {
        "version": "1.0",
        "locale": "en",
        "timeZone": "UTC",
        "meta": {"title": "{{title}}", "created": f"{at:%Y-%m-%dT%H:%M:%SZ}"},
        "footer": {
            "default": [{"type": "paragraph", "text": ["Page ", {"field": "page"}, " of ", {"field": "pages"}]}]
        },
        "data": data,
        "body": [
            {"type": "heading", "level": 1, "text": "{{title}}"},
            {"type": "paragraph", "text": "{{members | join}}"},
            {"type": "paragraph", "text": [f"{cut} As of ", {"field": "date"}, "."]},
            _table(target),
        ],
    }


def _table(target: Target) -> dict[str, Any]:
    table = {
        "type": "table",
        "rows": {"each": "messages", "as": "m"},
        "columns": [
            {"title": "Time (UTC)", "width": "34mm", "value": {"path": "m.at"}, "style": {"numberFormat": TIMES}},
            {"title": "Who", "width": "34mm", "value": {"path": "m.who"}},
            {"title": "Message", "width": "1fr", "value": {"path": "m.text"}},
            {"title": "", "width": "14mm", "value": {"path": "m.note"}, "style": {"color": "#666666"}},
        ],
    }
    if target == "xlsx":
        return table | {"xlsx": {"sheet": "Messages", "autofilter": True}}
    return table | {"breakRows": True}  # a message may be longer than a page


TIMES: Final = {"type": "date", "pattern": "yyyy-MM-dd HH:mm:ss"}
