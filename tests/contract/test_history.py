"""Ports `HistoryWriter` and `History` of messaging: PostgreSQL and JSON lines keep the same promises."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4, uuid5

import pytest

from bounded_contexts.messaging.adapters.history_jsonl import JsonLinesHistory
from bounded_contexts.messaging.adapters.history_postgres import PostgresHistory
from bounded_contexts.messaging.application.ports import Page, Version
from bounded_contexts.messaging.domain.message import Message
from headwater.wiring import House
from schemas.messaging.events import MessageDeleted, MessageEdited, MessageErased, MessageSent

History = PostgresHistory | JsonLinesHistory
Kept = Callable[[str], Awaitable[int]]  # how often a word lies in what the history keeps

START = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
ANN, BOB, EVE = uuid4(), uuid4(), uuid4()


def sent(conversation: UUID, body: str = "hello", *, after: int = 0) -> MessageSent:
    """Return a message sent `after` seconds."""
    message_id = uuid4()
    return MessageSent(
        message_id=message_id,
        conversation_id=conversation,
        sender_id=ANN,
        recipient_ids=(BOB,),
        client_id=f"client {message_id}",
        body=body,
        sent_at=START + timedelta(seconds=after),
    )


def edited(message: MessageSent, body: str, key: str = "k", *, after: int = 60) -> MessageEdited:
    return MessageEdited(
        edit_id=uuid5(message.message_id, key),
        message_id=message.message_id,
        conversation_id=message.conversation_id,
        editor_id=ANN,
        recipient_ids=(BOB,),
        body=body,
        edited_at=START + timedelta(seconds=after),
    )


def deleted(message: MessageSent, *, after: int = 90) -> MessageDeleted:
    return MessageDeleted(
        message_id=message.message_id,
        conversation_id=message.conversation_id,
        deleted_by=ANN,
        recipient_ids=(BOB,),
        deleted_at=START + timedelta(seconds=after),
    )


def erased(message: MessageSent, *, after: int = 95) -> MessageErased:
    return MessageErased(
        message_id=message.message_id,
        conversation_id=message.conversation_id,
        erased_by=EVE,
        recipient_ids=(ANN, BOB),
        reason="law",
        erased_at=START + timedelta(seconds=after),
    )


def tombstone(message: MessageSent, seq: int) -> Message:
    return replace(shown(message, seq), body="", erased_at=START + timedelta(seconds=95))


def shown(message: MessageSent, seq: int) -> Message:
    return Message(
        message_id=message.message_id,
        conversation_id=message.conversation_id,
        seq=seq,
        sender_id=message.sender_id,
        client_id=message.client_id,
        body=message.body,
        version=1,
        sent_at=message.sent_at,
    )


async def all_of(history: History, conversation: UUID) -> list[Message]:
    return await history.page(conversation, Page(1000, "oldest"))


async def seqs(history: History, conversation: UUID, page: Page) -> list[int]:
    return [message.seq for message in await history.page(conversation, page)]


class HistoryContract:
    async def test_what_was_sent_is_shown_as_it_was(self, history: History) -> None:
        message = sent(uuid4(), "Zwölf Boxkämpfer 😀\n\u2028 \\ \" 'quoted'")

        await history.sent([message])

        assert await history.message(message.message_id) == shown(message, 1)
        assert await all_of(history, message.conversation_id) == [shown(message, 1)]

    async def test_nothing_is_known_of_what_was_not_sent(self, history: History) -> None:
        assert await history.message(uuid4()) is None
        assert await history.versions(uuid4()) == []
        assert await all_of(history, uuid4()) == []

    async def test_messages_are_numbered_in_the_order_of_their_topic_without_gaps(self, history: History) -> None:
        conversation = uuid4()
        messages = [sent(conversation, str(n), after=-n) for n in range(25)]

        for start in range(0, 25, 10):
            await history.sent(messages[start : start + 10])

        assert await all_of(history, conversation) == [shown(each, n) for n, each in enumerate(messages, 1)]

    async def test_each_conversation_of_a_batch_has_its_own_numbers(self, history: History) -> None:
        one, other = uuid4(), uuid4()
        messages = [sent(conversation) for _ in range(5) for conversation in (one, other)]

        await history.sent(messages)

        for conversation in (one, other):
            mine = [each for each in messages if each.conversation_id == conversation]
            assert await all_of(history, conversation) == [shown(each, n) for n, each in enumerate(mine, 1)]

    async def test_a_repeat_changes_nothing_and_leaves_no_gap(self, history: History) -> None:
        conversation = uuid4()
        first, second, third = (sent(conversation) for _ in range(3))
        await history.sent([first, second])

        await history.sent([first, replace(second, body="other", sent_at=START + timedelta(days=1)), third])

        assert await all_of(history, conversation) == [shown(first, 1), shown(second, 2), shown(third, 3)]

    async def test_a_repeat_inside_one_batch_keeps_what_came_first(self, history: History) -> None:
        conversation = uuid4()
        first, second = sent(conversation, "first"), sent(conversation, "second")

        await history.sent([first, first, replace(first, body="later"), second, first])

        assert await all_of(history, conversation) == [shown(first, 1), shown(second, 2)]

    async def test_a_whole_batch_that_comes_again_changes_nothing(self, history: History) -> None:
        conversation = uuid4()
        messages = [sent(conversation) for _ in range(3)]

        await history.sent(messages)
        await history.sent(messages)

        assert await all_of(history, conversation) == [shown(each, n) for n, each in enumerate(messages, 1)]

    async def test_an_edit_replaces_the_text_and_keeps_the_former_one(self, history: History) -> None:
        message = sent(uuid4(), "first")
        await history.sent([message])

        await history.edited(edited(message, "second", "a", after=60))
        await history.edited(edited(message, "third", "b", after=70))

        found = await history.message(message.message_id)
        at_60, at_70 = START + timedelta(seconds=60), START + timedelta(seconds=70)
        assert found == replace(shown(message, 1), body="third", version=3, edited_at=at_70)
        assert await history.versions(message.message_id) == [
            Version(1, "first", START),
            Version(2, "second", at_60),
            Version(3, "third", at_70),
        ]

    async def test_an_edit_that_comes_again_changes_nothing(self, history: History) -> None:
        message = sent(uuid4(), "first")
        await history.sent([message])
        edits = [edited(message, "second", "a"), edited(message, "third", "b")]

        for edit in (*edits, *edits, edits[0]):
            await history.edited(edit)

        found = await history.message(message.message_id)
        assert found is not None
        assert (found.body, found.version) == ("third", 3)
        assert [each.body for each in await history.versions(message.message_id)] == ["first", "second", "third"]

    async def test_a_repeat_of_the_message_does_not_undo_its_edit(self, history: History) -> None:
        message = sent(uuid4(), "first")
        await history.sent([message])
        await history.edited(edited(message, "second"))

        await history.sent([message])

        found = await history.message(message.message_id)
        assert found is not None
        assert found.body == "second"

    async def test_what_is_about_an_unknown_message_changes_nothing(self, history: History) -> None:
        message = sent(uuid4())

        await history.edited(edited(message, "second"))
        await history.deleted(deleted(message))

        assert await history.message(message.message_id) is None
        assert await history.versions(message.message_id) == []
        await history.sent([message])
        assert await all_of(history, message.conversation_id) == [shown(message, 1)]

    async def test_a_deleted_message_keeps_its_number_without_its_text(self, history: History) -> None:
        conversation = uuid4()
        first, second = sent(conversation), sent(conversation)
        await history.sent([first, second])

        await history.deleted(deleted(first))

        gone = replace(shown(first, 1), body="", deleted_at=START + timedelta(seconds=90))
        assert await history.message(first.message_id) == gone
        assert await all_of(history, conversation) == [gone, shown(second, 2)]

    async def test_deleting_twice_keeps_the_first_time(self, history: History) -> None:
        message = sent(uuid4())
        await history.sent([message])

        await history.deleted(deleted(message, after=90))
        await history.deleted(deleted(message, after=95))

        found = await history.message(message.message_id)
        assert found is not None
        assert found.deleted_at == START + timedelta(seconds=90)

    async def test_a_deleted_message_is_edited_no_more_and_its_texts_stay(self, history: History) -> None:
        message = sent(uuid4(), "first")
        await history.sent([message])
        await history.edited(edited(message, "second", "a"))
        await history.deleted(deleted(message))

        await history.edited(edited(message, "third", "b", after=100))

        found = await history.message(message.message_id)
        assert found is not None
        assert (found.body, found.version) == ("", 2)
        assert [each.body for each in await history.versions(message.message_id)] == ["first", "second"]

    async def test_an_erased_message_keeps_its_place_and_nothing_it_ever_said(
        self, history: History, kept: Kept
    ) -> None:
        sesame, other_word = uuid4().hex, uuid4().hex
        conversation = uuid4()
        first, second, third = (sent(conversation, f"{word} ü😀") for word in (sesame, other_word, "last"))
        await history.sent([first, second])
        await history.edited(edited(first, f"open {sesame}", "a", after=60))
        await history.edited(edited(first, f'shut "{sesame}"', "b", after=70))
        assert await kept(sesame) == 3

        await history.erased(erased(first))
        await history.sent([third])

        gone = replace(tombstone(first, 1), version=3, edited_at=START + timedelta(seconds=70))
        assert await history.message(first.message_id) == gone
        assert await history.versions(first.message_id) == []
        assert await all_of(history, conversation) == [gone, shown(second, 2), shown(third, 3)]
        assert await seqs(history, conversation, Page(2, "oldest", after=0, before=3)) == [1, 2]
        assert await history.seq_at(conversation, START) == 3
        assert await kept(sesame) == 0
        assert await kept(other_word) == 1

    async def test_erasing_twice_keeps_the_first_time(self, history: History) -> None:
        message = sent(uuid4())
        await history.sent([message])

        await history.erased(erased(message))
        await history.erased(erased(message, after=99))

        assert await all_of(history, message.conversation_id) == [tombstone(message, 1)]

    async def test_what_comes_after_the_erasure_brings_no_text_back(self, history: History, kept: Kept) -> None:
        sesame, other_word = uuid4().hex, uuid4().hex
        message, other = sent(uuid4(), sesame), sent(uuid4(), other_word)
        edit = edited(message, f"open {sesame}")
        await history.sent([message])
        await history.edited(edit)
        await history.erased(erased(message))
        before = await history.message(message.message_id)

        await history.sent([message, other])
        await history.edited(edit)
        await history.edited(edited(message, f"{sesame}!", "late"))

        assert await history.message(message.message_id) == before
        assert await history.versions(message.message_id) == []
        assert await kept(sesame) == 0
        assert await kept(other_word) == 1

    async def test_a_message_that_comes_after_its_erasure_is_stored_without_its_text(
        self, history: History, kept: Kept
    ) -> None:
        sesame, other_word = uuid4().hex, uuid4().hex
        conversation = uuid4()
        message, other = sent(conversation, sesame), sent(conversation, other_word)

        await history.erased(erased(message))
        assert await history.message(message.message_id) is None
        assert await all_of(history, conversation) == []
        await history.sent([other, message])
        await history.edited(edited(message, f"open {sesame}"))

        assert await all_of(history, conversation) == [shown(other, 1), tombstone(message, 2)]
        assert await history.message(message.message_id) == tombstone(message, 2)
        assert await history.versions(message.message_id) == []
        assert await kept(sesame) == 0

    async def test_a_deleted_message_can_be_erased(self, history: History, kept: Kept) -> None:
        sesame = uuid4().hex
        message = sent(uuid4(), sesame)
        await history.sent([message])
        await history.deleted(deleted(message))
        assert await kept(sesame) == 1

        await history.erased(erased(message))

        found = await history.message(message.message_id)
        assert found == replace(tombstone(message, 1), deleted_at=START + timedelta(seconds=90))
        assert await kept(sesame) == 0

    async def test_pages_of_several_conversations_are_what_each_page_is(self, history: History) -> None:
        conversations = [uuid4() for _ in range(3)]
        for number, conversation in enumerate(conversations[:2], 2):
            await history.sent([sent(conversation, str(n), after=n) for n in range(number)])
        for page in (Page(2), Page(2, "oldest"), Page(5, before=2), Page(5, "oldest", after=1)):
            found = await history.pages(conversations, page)

            assert found == {each: await history.page(each, page) for each in conversations}
        assert [each.body for each in (await history.pages(conversations, Page(2)))[conversations[1]]] == ["2", "1"]

    @pytest.mark.parametrize(
        ("page", "expected"),
        [
            (Page(3), [10, 9, 8]),
            (Page(3, "oldest"), [1, 2, 3]),
            (Page(100), [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
            (Page(100, "oldest"), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
            (Page(3, before=8), [7, 6, 5]),
            (Page(3, before=2), [1]),
            (Page(3, before=1), []),
            (Page(3, before=0), []),
            (Page(3, after=8), [10, 9]),
            (Page(3, after=2), [10, 9, 8]),
            (Page(3, "oldest", after=2), [3, 4, 5]),
            (Page(3, "oldest", after=0), [1, 2, 3]),
            (Page(3, "oldest", after=9), [10]),
            (Page(3, "oldest", after=10), []),
            (Page(3, "oldest", after=99), []),
            (Page(3, "oldest", before=3), [1, 2]),
            (Page(3, "oldest", before=99), [1, 2, 3]),
            (Page(9, "oldest", before=7, after=3), [4, 5, 6]),
            (Page(2, before=7, after=3), [6, 5]),
            (Page(2, before=4, after=4), []),
            (Page(1), [10]),
        ],
        ids=str,
    )
    async def test_a_page_is_the_stretch_between_its_anchors_from_the_end_it_names(
        self, ten: tuple[History, UUID], page: Page, expected: list[int]
    ) -> None:
        history, conversation = ten

        assert await seqs(history, conversation, page) == expected

    @pytest.fixture
    async def ten(self, history: History) -> tuple[History, UUID]:
        """A conversation of ten messages, one each ten seconds."""
        conversation = uuid4()
        await history.sent([sent(conversation, after=10 * n) for n in range(10)])
        return history, conversation

    @pytest.mark.parametrize(("after", "seq"), [(-1, 0), (0, 1), (9, 1), (10, 2), (89, 9), (90, 10), (10_000, 10)])
    async def test_the_message_at_a_time_is_the_last_one_sent_by_then(
        self, ten: tuple[History, UUID], after: int, seq: int
    ) -> None:
        history, conversation = ten

        assert await history.seq_at(conversation, START + timedelta(seconds=after)) == seq

    async def test_before_a_conversation_there_is_no_message(self, history: History) -> None:
        assert await history.seq_at(uuid4(), START) == 0

    async def test_readers_see_whole_batches_while_they_are_written(self, history: History) -> None:
        conversation = uuid4()

        async def write() -> None:
            for _ in range(10):
                await history.sent([sent(conversation) for _ in range(5)])

        async def read() -> list[list[int]]:
            return [await seqs(history, conversation, Page(1000, "oldest")) for _ in range(30)]

        _, *reads = await asyncio.gather(write(), read(), read())

        assert all(found == list(range(1, len(found) + 1)) for each in reads for found in each)
        assert len(await all_of(history, conversation)) == 50


class TestPostgresHistory(HistoryContract):
    @pytest.fixture
    def history(self, house: House) -> History:
        return PostgresHistory(house.databases["messaging"])

    @pytest.fixture
    async def kept(self, house: House) -> Kept:
        async def kept(word: str) -> int:
            count = "select count(*) from messaging.message{} t where t::text like '%' || $1 || '%'"
            async with house.databases["messaging"].driver() as connection:
                return sum([await connection.fetchval(count.format(table), word) for table in ("", "_edit")])

        return kept


class TestJsonLinesHistory(HistoryContract):
    @pytest.fixture
    def history(self, tmp_path: Path) -> JsonLinesHistory:
        return JsonLinesHistory(tmp_path / "history")

    @pytest.fixture
    def kept(self, tmp_path: Path) -> Kept:
        async def kept(word: str) -> int:
            return sum(path.read_text().count(word) for path in (tmp_path / "history").iterdir())

        return kept

    async def test_another_process_goes_on_reading_where_it_was_when_something_is_erased(
        self, history: JsonLinesHistory, tmp_path: Path
    ) -> None:
        reader, conversation = JsonLinesHistory(tmp_path / "history"), uuid4()
        first, second, third = (sent(conversation, f'"{n}" ü\n') for n in range(3))
        await history.sent([first, second])
        await history.edited(edited(first, "edited"))
        await all_of(reader, conversation)

        await history.erased(erased(first))
        await history.sent([third])

        expected = [
            replace(tombstone(first, 1), version=2, edited_at=START + timedelta(seconds=60)),
            shown(second, 2),
            shown(third, 3),
        ]
        for each in (history, reader, JsonLinesHistory(tmp_path / "history")):
            assert await all_of(each, conversation) == expected
            assert await each.versions(first.message_id) == []

    async def test_it_survives_reopening(self, history: JsonLinesHistory, tmp_path: Path) -> None:
        conversation = uuid4()
        first, second, third = (sent(conversation, str(n)) for n in range(3))
        await history.sent([first, second])
        await history.edited(edited(first, "edited"))
        await history.deleted(deleted(second))

        reopened = JsonLinesHistory(tmp_path / "history")
        await reopened.edited(edited(first, "edited"))
        await reopened.sent([first, third])

        assert await all_of(reopened, conversation) == [
            *(await all_of(history, conversation))[:2],
            shown(third, 3),
        ]
        assert [each.body for each in await reopened.versions(first.message_id)] == ["0", "edited"]

    async def test_another_process_on_the_directory_sees_what_is_added(
        self, history: JsonLinesHistory, tmp_path: Path
    ) -> None:
        reader, conversation = JsonLinesHistory(tmp_path / "history"), uuid4()
        first, second = sent(conversation), sent(conversation)
        await history.sent([first])
        seen_first = await reader.message(first.message_id)

        await history.sent([second])
        await history.edited(edited(first, "edited"))

        assert seen_first == shown(first, 1)
        assert await all_of(reader, conversation) == await all_of(history, conversation)
        assert await reader.message(second.message_id) == shown(second, 2)

    async def test_the_next_writer_goes_on_numbering_where_the_last_one_stopped(
        self, history: JsonLinesHistory, tmp_path: Path
    ) -> None:
        taking_over, conversation = JsonLinesHistory(tmp_path / "history"), uuid4()
        await all_of(taking_over, conversation)
        await history.sent([sent(conversation)])

        await taking_over.sent([sent(conversation)])

        assert await seqs(history, conversation, Page(9)) == [2, 1]

    @pytest.mark.parametrize("torn", [b'{"type": "MessageSe', b"\xf0\x9f", b"{"], ids=["half", "half a letter", "one"])
    async def test_a_line_that_a_crash_tore_is_cut_off_by_the_next_write(
        self, history: JsonLinesHistory, tmp_path: Path, torn: bytes
    ) -> None:
        conversation = uuid4()
        first, second = sent(conversation), sent(conversation)
        await history.sent([first])
        (file,) = (tmp_path / "history").iterdir()
        whole = file.read_bytes()
        file.write_bytes(whole + torn)

        restarted = JsonLinesHistory(tmp_path / "history")
        before = await all_of(restarted, conversation)
        await restarted.sent([second])

        assert before == [shown(first, 1)]
        assert await all_of(restarted, conversation) == [shown(first, 1), shown(second, 2)]
        assert file.read_bytes().startswith(whole)
        assert file.read_bytes().count(b"\n") == 2

    async def test_what_could_not_be_written_is_not_shown_and_can_be_written_again(
        self, history: JsonLinesHistory, tmp_path: Path
    ) -> None:
        conversation = uuid4()
        first, second = sent(conversation), sent(conversation)
        await history.sent([first])
        (file,) = (tmp_path / "history").iterdir()
        aside = file.rename(tmp_path / "aside")
        file.mkdir()  # nothing can be written there, whoever runs the test

        with pytest.raises(OSError, match="directory"):
            await history.sent([second])
        file.rmdir()
        aside.rename(file)

        assert await history.message(second.message_id) is None
        await history.sent([second])
        assert await all_of(history, conversation) == [shown(first, 1), shown(second, 2)]
