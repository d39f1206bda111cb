"""What messaging's REST bodies and answers look like."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from bounded_contexts.messaging.adapters.cursors import Direction, Order, onward
from bounded_contexts.messaging.application.ports import Listed
from bounded_contexts.messaging.domain.conversation import MEMBER_LIMIT, METADATA_LIMIT, TITLE_LIMIT, Conversation
from bounded_contexts.messaging.domain.message import BODY_LIMIT, CLIENT_ID_LIMIT, REASON_LIMIT, Message
from infra.http import Body

PEOPLE = ["0f6f2c6e-3f0b-4a5e-9a57-2f1f5d8c7b10", "c0a8017a-5a4c-4b6e-8d2a-7e9d0b1c2f34"]  # of examples

Text = Annotated[str, Field(min_length=1, max_length=BODY_LIMIT, examples=["Hello"])]
ClientId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=CLIENT_ID_LIMIT,
        description="Your name for it; the same one is sent once.",
        examples=["first"],
    ),
]
Title = Annotated[str, Field(min_length=1, max_length=TITLE_LIMIT, examples=["Harbour crew"])]


class NewGroup(Body):
    title: Title
    member_ids: Annotated[
        list[UUID], Field(max_length=MEMBER_LIMIT, default_factory=list, description="You are in it anyway.")
    ]
    public: Annotated[StrictBool, Field(description="Anybody may find and join it.")] = False
    metadata: Annotated[
        dict[str, str], Field(default_factory=dict, max_length=METADATA_LIMIT, examples=[{"colour": "blue"}])
    ]


class DirectOf(Body):
    participant_ids: Annotated[list[UUID], Field(min_length=1, max_length=MEMBER_LIMIT)]


class GroupChange(Body):
    """What is given is changed; metadata as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Harbour crew"}]})
    title: Title | None = None
    metadata: Annotated[dict[str, str] | None, Field(max_length=METADATA_LIMIT)] = None

    @model_validator(mode="after")
    def _one(self) -> "GroupChange":
        if (self.title is None) == (self.metadata is None):
            raise ValueError("name either title or metadata: one change a request")
        return self


class NewMember(Body):
    member_id: UUID


class NewMessage(Body):
    body: Text
    client_id: ClientId | None = None


class NewMessageTo(NewMessage):
    participants: Annotated[
        list[UUID],
        Field(min_length=2, max_length=MEMBER_LIMIT, description="You included, in any order.", examples=[PEOPLE]),
    ]


class NewText(Body):
    body: Text


class Erasure(Body):
    reason: Annotated[
        str, Field(max_length=REASON_LIMIT, description="For auditors; it is not shown to members.", examples=["Spam"])
    ] = ""


class Accepted(BaseModel):
    """The broker has it; `position` reads your own write through `min_position`."""

    message_id: UUID
    conversation_id: UUID
    client_id: str | None = None
    status: Literal["accepted", "stored"]
    position: str


class Changed(BaseModel):
    """The broker has the edit or the deletion."""

    message_id: UUID
    status: Literal["accepted", "stored"]
    position: str


class ConversationAnswer(BaseModel):
    id: UUID
    kind: Literal["direct", "group"]
    title: str | None
    member_ids: list[UUID]
    started_at: datetime | None = None
    last_message_at: datetime | None = None
    public: bool = False
    metadata: dict[str, str] = {}
    archived_at: datetime | None = None


class MessageAnswer(BaseModel):
    id: UUID
    conversation_id: UUID
    seq: int
    client_id: str
    sender_id: UUID
    body: Annotated[str, Field(description="Empty once deleted or erased.")]
    version: int
    created_at: datetime
    edited_at: datetime | None
    deleted_at: datetime | None
    erased_at: Annotated[datetime | None, Field(description="Since when no text of it is kept.")]


class VersionAnswer(BaseModel):
    version: int
    body: str
    written_at: datetime


class PageAnswer(BaseModel):
    next_cursor: str | None
    prev_cursor: str | None = None
    has_more: bool


class MessagePage(BaseModel):
    data: list[MessageAnswer]
    page: PageAnswer
    position: Annotated[
        str, Field(description="Connect a socket with it: everything after this list follows, nothing is missed.")
    ]


class ConversationPage(BaseModel):
    data: list[ConversationAnswer]
    page: PageAnswer


class VersionList(BaseModel):
    data: Annotated[list[VersionAnswer], Field(description="None of an erased message.")]
    erased_at: datetime | None


def message_answer(message: Message) -> MessageAnswer:
    return MessageAnswer(
        id=message.message_id,
        conversation_id=message.conversation_id,
        seq=message.seq,
        client_id=message.client_id,
        sender_id=message.sender_id,
        body=message.body,
        version=message.version,
        created_at=message.sent_at,
        edited_at=message.edited_at,
        deleted_at=message.deleted_at,
        erased_at=message.erased_at,
    )


def conversation_answer(listed: Listed) -> ConversationAnswer:
    return ConversationAnswer(
        id=listed.conversation_id,
        kind=listed.kind,
        title=listed.title,
        member_ids=list(listed.member_ids),
        started_at=listed.started_at,
        last_message_at=listed.last_message_at,
        public=listed.public,
        metadata=dict(listed.metadata),
        archived_at=listed.archived_at,
    )


def decided_answer(id_: UUID, state: Conversation, last_message_at: datetime | None) -> ConversationAnswer:
    return ConversationAnswer(
        id=id_,
        kind=state.kind,
        title=state.title,
        member_ids=sorted(state.members),
        started_at=state.started_at,
        last_message_at=last_message_at,
        public=state.public,
        metadata=dict(state.metadata),
        archived_at=state.archived_at,
    )


def message_page(
    messages: list[Message], limit: int, seal: Callable[[Direction, int], str], order: Order, position: str
) -> MessagePage:
    """Return the page with cursors that go on and back: `seal` takes a direction and the seq to start from."""
    more = len(messages) > limit
    shown = messages[:limit]
    forward = onward(order)
    back: Direction = "after" if forward == "before" else "before"
    page = PageAnswer(
        next_cursor=seal(forward, shown[-1].seq) if more else None,
        prev_cursor=seal(back, shown[0].seq) if shown else None,
        has_more=more,
    )
    return MessagePage(data=[message_answer(message) for message in shown], page=page, position=position)
