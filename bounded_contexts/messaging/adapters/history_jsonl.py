"""Messages in JSON-lines files, one per conversation: ports `HistoryWriter` and `History` for small installations.

Each event is one appended line, so a crash leaves at most a torn last line, which the next write cuts off. Files are read
on when they have grown: processes may share the directory, but only the group's member that has the partition writes.
An erasure replaces the file: its lines keep their length, so readers go on where they are.
"""

import asyncio
import json
import os
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

from bounded_contexts.messaging.application.ports import Page, Version
from bounded_contexts.messaging.domain.message import Message
from schemas.messaging import events
from schemas.messaging.events import MessageDeleted, MessageEdited, MessageErased, MessageSent

Change = MessageSent | MessageEdited | MessageDeleted | MessageErased


@dataclass(slots=True)
class _Conversation:
    """One file as far as it has been read."""

    read: int = 0  # bytes of whole lines
    messages: list[Message] = field(default_factory=list)  # messages[seq - 1]
    place: dict[UUID, int] = field(default_factory=dict)  # message id → index
    former: dict[UUID, list[Version]] = field(default_factory=dict)
    edits: set[UUID] = field(default_factory=set)
    erased: dict[UUID, datetime] = field(default_factory=dict)  # message id → when; it may not have come yet

    def apply(self, change: Change) -> bool:
        """Take over the change; return whether it was one."""
        match change:
            case MessageSent():
                return self._sent(change)
            case MessageEdited():
                return self._edited(change)
            case MessageDeleted():
                return self._deleted(change)
            case MessageErased():
                return self._erased(change)

    def _sent(self, sent: MessageSent) -> bool:
        if sent.message_id in self.place:
            return False
        self.place[sent.message_id] = len(self.messages)
        self.messages.append(
            Message(
                message_id=sent.message_id,
                conversation_id=sent.conversation_id,
                seq=len(self.messages) + 1,
                sender_id=sent.sender_id,
                client_id=sent.client_id,
                body="" if sent.message_id in self.erased else sent.body,
                version=1,
                sent_at=sent.sent_at,
                erased_at=self.erased.get(sent.message_id),
            )
        )
        return True

    def _edited(self, edit: MessageEdited) -> bool:
        index = self.place.get(edit.message_id)
        if index is None or edit.edit_id in self.edits or self.messages[index].deleted_at:
            return False
        if edit.message_id in self.erased:
            return False
        former = self.messages[index]
        written_at = former.edited_at or former.sent_at
        self.former.setdefault(edit.message_id, []).append(Version(former.version, former.body, written_at))
        self.edits.add(edit.edit_id)
        self.messages[index] = replace(former, body=edit.body, version=former.version + 1, edited_at=edit.edited_at)
        return True

    def _deleted(self, deletion: MessageDeleted) -> bool:
        index = self.place.get(deletion.message_id)
        if index is None or self.messages[index].deleted_at:
            return False
        self.messages[index] = replace(self.messages[index], deleted_at=deletion.deleted_at)
        return True

    def _erased(self, erasure: MessageErased) -> bool:
        if erasure.message_id in self.erased:
            return False
        self.erased[erasure.message_id] = erasure.erased_at
        self.former.pop(erasure.message_id, None)
        if (index := self.place.get(erasure.message_id)) is not None:
            self.messages[index] = replace(self.messages[index], body="", erased_at=erasure.erased_at)
        return True


class JsonLinesHistory:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._conversations: dict[UUID, _Conversation] = {}
        self._conversation_of: dict[UUID, UUID] = {}  # message id → conversation
        self._lock = asyncio.Lock()

    async def sent(self, messages: Sequence[MessageSent]) -> None:
        ordered = sorted(messages, key=lambda message: message.conversation_id.int)  # stable: order within each stays
        for conversation, run in groupby(ordered, key=lambda message: message.conversation_id):
            await self._write(conversation, list(run))

    async def edited(self, edit: MessageEdited) -> None:
        await self._write(edit.conversation_id, [edit])

    async def deleted(self, deletion: MessageDeleted) -> None:
        await self._write(deletion.conversation_id, [deletion])

    async def erased(self, erasure: MessageErased) -> None:
        path = self._path(erasure.conversation_id)
        async with self._lock:
            state = await self._current(erasure.conversation_id)
            if not state.apply(erasure):
                return
            try:
                await asyncio.to_thread(_erase, path, state.read, erasure)
            except BaseException:
                del self._conversations[erasure.conversation_id]
                raise
            state.read += len(_line(erasure).encode())

    async def page(self, conversation: UUID, page: Page) -> list[Message]:
        async with self._lock:
            messages = (await self._current(conversation)).messages
        after, before = page.after or 0, len(messages) + 1 if page.before is None else page.before
        stretch = messages[max(after, 0) : max(before - 1, 0)]
        chosen = stretch[-page.limit :][::-1] if page.order == "newest" else stretch[: page.limit]
        return [_shown(message) for message in chosen]

    async def pages(self, conversations: Sequence[UUID], page: Page) -> dict[UUID, list[Message]]:
        return {each: await self.page(each, page) for each in conversations}

    async def message(self, message_id: UUID) -> Message | None:
        conversation = await self._holding(message_id)
        return _shown(conversation.messages[conversation.place[message_id]]) if conversation else None

    async def versions(self, message_id: UUID) -> list[Version]:
        conversation = await self._holding(message_id)
        if conversation is None or message_id in conversation.erased:
            return []
        now = conversation.messages[conversation.place[message_id]]
        current = Version(now.version, now.body, now.edited_at or now.sent_at)
        return [*conversation.former.get(message_id, ()), current]

    async def seq_at(self, conversation: UUID, at: datetime) -> int:
        async with self._lock:
            messages = (await self._current(conversation)).messages
        return max((message.seq for message in messages if message.sent_at <= at), default=0)

    async def _write(self, conversation: UUID, changes: Sequence[Change]) -> None:
        async with self._lock:
            state = await self._current(conversation)
            lines = [_line(_storable(change, state.erased)) for change in changes if state.apply(change)]
            data = "".join(lines).encode()
            try:
                await asyncio.to_thread(_append, self._path(conversation), state.read, data)
            except BaseException:
                del self._conversations[conversation]  # what was applied may not be on disk: read it anew
                raise
            state.read += len(data)
            for change in changes:
                if change.message_id in state.place:
                    self._conversation_of[change.message_id] = conversation

    async def _holding(self, message_id: UUID) -> _Conversation | None:
        async with self._lock:
            for path in self._directory.glob("*.jsonl"):
                conversation = UUID(path.stem)
                if self._conversation_of.get(message_id, conversation) == conversation:
                    await self._current(conversation)
            conversation_id = self._conversation_of.get(message_id)
            return self._conversations[conversation_id] if conversation_id else None

    async def _current(self, conversation: UUID) -> _Conversation:
        """Read the lines that were added since the last look."""
        state = self._conversations.setdefault(conversation, _Conversation())
        for line in await asyncio.to_thread(_lines_from, self._path(conversation), state.read):
            state.read += len(line)
            change = _change(line)
            state.apply(change)
            if change.message_id in state.place:
                self._conversation_of[change.message_id] = conversation
        return state

    def _path(self, conversation: UUID) -> Path:
        return self._directory / f"{conversation}.jsonl"


def _lines_from(path: Path, offset: int) -> list[bytes]:
    """Return the whole lines after `offset`; a torn last one is left out."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return [line for line in file if line.endswith(b"\n")]
    except FileNotFoundError:
        return []


def _append(path: Path, at: int, data: bytes) -> None:
    """Write after the last whole line and wait for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("r+b" if path.exists() else "x+b") as file:
        file.truncate(at)
        file.seek(at)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _erase(path: Path, size: int, erasure: MessageErased) -> None:
    """Put a file without the message's texts, and with the erasure, in the place of this one; wait for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.read_bytes()[:size] if path.exists() else b""
    lines = [_blanked(line, erasure.message_id) for line in whole.splitlines(keepends=True)]
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.writelines([*lines, _line(erasure).encode()])
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # or a power cut might bring the former file back
    finally:
        os.close(directory)


def _blanked(line: bytes, message_id: UUID) -> bytes:
    """Return the line, if it is about the message without its text and as long as before."""
    change = _change(line)
    if change.message_id != message_id or not isinstance(change, MessageSent | MessageEdited):
        return line
    return _line(replace(change, body="")).encode().removesuffix(b"\n").ljust(len(line) - 1) + b"\n"


def _storable(change: Change, erased: Container[UUID]) -> Change:
    """Return a message that comes after its erasure without its text, anything else as it is."""
    return replace(change, body="") if isinstance(change, MessageSent) and change.message_id in erased else change


def _line(change: Change) -> str:
    return json.dumps({"type": type(change).__name__, **change.to_record()}, ensure_ascii=False) + "\n"


def _change(line: bytes) -> Change:
    record: dict[str, Any] = json.loads(line)
    kind = getattr(events, record.pop("type"))
    change: Change = kind.from_record(record)
    return change


def _shown(message: Message) -> Message:
    return replace(message, body="") if message.deleted_at else message
