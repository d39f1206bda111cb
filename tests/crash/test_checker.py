"""The checker is worth what it finds: evidence that was corrupted in every way we could think of."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.crash.checker import check
from tests.crash.evidence import Evidence, Heard, Moment
from tests.crash.small import small
from tests.integration.test_crashes import running
from tests.servers import Servers

GROUPS = ("messaging.history", "notifications.inbox")
pytestmark = pytest.mark.connected


@pytest.fixture(scope="module")
async def recorded(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Evidence of a run in which nothing went wrong."""
    ann, bob, eve = uuid4(), uuid4(), uuid4()
    async with small(servers, tmp_path_factory.mktemp("recorded")) as own:
        async with running(own.house, GROUPS[0]), running(own.house, GROUPS[1]):
            for number in range(8):
                await own.send(ann, [bob], f"to bob {number}")
                await own.send(eve, [ann, bob], f"to both {number}")
            edited, deleted = await own.send(ann, [bob], "edited"), await own.send(ann, [bob], "deleted")
            await own.caught_up(*GROUPS)
            await own.look()
            api = own.sources.rest(str(ann))
            await own.history.intent("edit", "new text", str(ann), "edited")
            (await api.patch(f"/messages/{edited}", json={"body": "new text"})).raise_for_status()
            await own.history.answer("new text", "ok")
            await own.history.intent("delete", "deleted deleted", str(ann), "deleted")
            (await api.delete(f"/messages/{deleted}")).raise_for_status()
            await own.history.answer("deleted deleted", "ok")
            await own.history.intent("send", "refused", str(ann))
            await own.history.answer("refused", "fail")
            await own.caught_up(*GROUPS)
            await own.look()
        found = await own.evidence()
    said = [event for event in found.events if event.type == "MessageSent"]
    found.heard = {
        str(bob): [Heard("message.created", each.data["conversation_id"], each.data["body"]) for each in said]
    }
    return found


def lost_in_topic(found: Evidence) -> None:
    found.events.remove(next(each for each in found.events if each.type == "MessageSent"))


def lost_edit(found: Evidence) -> None:
    found.events.remove(next(each for each in found.events if each.type == "MessageEdited"))


def lost_in_table(found: Evidence) -> None:
    del found.messages[3]


def lost_at_the_end_of_the_table(found: Evidence) -> None:
    del found.messages[-1]


def lost_for_a_reader(found: Evidence) -> None:
    del next(iter(found.histories.values()))[2]


def lost_in_inbox(found: Evidence) -> None:
    del found.entries[0]


def lost_on_a_socket(found: Evidence) -> None:
    del next(iter(found.heard.values()))[4]


def doubled_in_topic(found: Evidence) -> None:
    event = next(each for each in found.events if each.type == "MessageSent")
    again = {**event.data, "message_id": str(uuid4())}
    found.events.append(replace(event, id=again["message_id"], data=again, offset=event.offset + 1000))


def doubled_in_table(found: Evidence) -> None:
    found.messages.append({**found.messages[0], "seq": len(found.messages) + 1})


def doubled_in_inbox(found: Evidence) -> None:
    found.entries.append({**found.entries[0], "notification_id": str(uuid4())})


def doubled_on_a_socket(found: Evidence) -> None:
    heard = next(iter(found.heard.values()))
    heard.append(heard[0])


def swapped_in_topic(found: Evidence) -> None:
    said = [(n, each.data["conversation_id"]) for n, each in enumerate(found.events) if each.type == "MessageSent"]
    one, conversation = said[0]
    other = next(n for n, its in said[1:] if its == conversation)
    found.events[one], found.events[other] = found.events[other], found.events[one]


def swapped_in_table(found: Evidence) -> None:
    one, other = found.messages[0], found.messages[1]
    one["seq"], other["seq"] = other["seq"], one["seq"]
    found.messages[:2] = [other, one]


def swapped_for_a_reader(found: Evidence) -> None:
    shown = next(iter(found.histories.values()))
    shown[0], shown[1] = shown[1], shown[0]


def swapped_on_a_socket(found: Evidence) -> None:
    heard = next(iter(found.heard.values()))
    one = heard[0]
    other = next(n for n, each in enumerate(heard) if n and each.conversation == one.conversation)
    heard[0], heard[other] = heard[other], heard[0]


def number_left_out(found: Evidence) -> None:
    found.messages[0]["seq"] = 100


def nobody_sent_it(found: Evidence) -> None:
    found.operations.remove(next(each for each in found.operations if each.name == "to bob 3"))


def in_table_only(found: Evidence) -> None:
    found.messages.append({**found.messages[0], "message_id": str(uuid4()), "conversation_id": str(uuid4()), "seq": 1})


def refused_and_there(found: Evidence) -> None:
    at, asked = next((n, each) for n, each in enumerate(found.operations) if each.name == "to bob 3")
    found.operations[at] = replace(asked, outcome="fail")


def wrong_text(found: Evidence) -> None:
    next(row for row in found.messages if row["body"] == "new text")["body"] = "edited"


def wrong_text_for_a_reader(found: Evidence) -> None:
    row = next(row for rows in found.histories.values() for row in rows if row["deleted_at"])
    row["body"] = "deleted"


def wrong_preview(found: Evidence) -> None:
    found.entries[0]["preview"] = "something else"


def wrong_count(found: Evidence) -> None:
    user, (total, unread) = next(iter(found.unread.items()))
    found.unread[user] = total, unread + 1


def not_sent_by_the_relay(found: Evidence) -> None:
    found.stored.append({"stream": str(uuid4()), "version": 1, "id": str(uuid4())})


def left_in_the_outbox(found: Evidence) -> None:
    found.outbox = 1


def dead_letter(found: Evidence) -> None:
    found.dead.append({"group": GROUPS[0], "topic": "messages", "partition": 0, "place": 1, "error": "?"})


def used(found: Evidence) -> int:
    """Return the number of a row of positions that has something behind it."""
    return next(n for n, row in enumerate(found.positions) if row["next"])


def position_too_far(found: Evidence) -> None:
    found.positions[used(found)]["next"] += 1


def position_behind(found: Evidence) -> None:
    found.positions[used(found)]["next"] -= 1


def position_before_its_effect(found: Evidence) -> None:
    moment = found.moments[-1]
    short = {conversation: count - 1 for conversation, count in moment.counts.items()}
    found.moments.append(Moment(moment.group, moment.positions, short))


def effect_before_its_position(found: Evidence) -> None:
    moment = found.moments[-1]
    found.moments.append(Moment(moment.group, dict.fromkeys(moment.positions, 0), moment.counts))


CORRUPTIONS: list[tuple[Callable[[Evidence], None], str]] = [
    (lost_in_topic, "lost"),
    (lost_edit, "lost"),
    (lost_in_table, "lost"),
    (lost_at_the_end_of_the_table, "lost"),
    (lost_for_a_reader, "lost"),
    (lost_in_inbox, "lost"),
    (lost_on_a_socket, "lost"),
    (doubled_in_topic, "doubled"),
    (doubled_in_table, "doubled"),
    (doubled_in_inbox, "doubled"),
    (doubled_on_a_socket, "doubled"),
    (swapped_in_topic, "reordered"),
    (swapped_in_table, "reordered"),
    (swapped_for_a_reader, "reordered"),
    (swapped_on_a_socket, "reordered"),
    (number_left_out, "reordered"),
    (nobody_sent_it, "phantom"),
    (in_table_only, "phantom"),
    (refused_and_there, "phantom"),
    (wrong_text, "wrong"),
    (wrong_text_for_a_reader, "wrong"),
    (wrong_preview, "wrong"),
    (wrong_count, "wrong"),
    (not_sent_by_the_relay, "lost"),
    (left_in_the_outbox, "unfinished"),
    (dead_letter, "dead"),
    (position_too_far, "position"),
    (position_behind, "unfinished"),
    (position_before_its_effect, "position"),
    (effect_before_its_position, "position"),
]


async def test_a_run_in_which_nothing_went_wrong_breaks_no_promise(recorded: Evidence) -> None:
    assert check(recorded) == []
    assert len([each for each in recorded.operations if each.outcome == "ok"]) == 20


@pytest.mark.parametrize(("corrupt", "kind"), CORRUPTIONS, ids=lambda value: getattr(value, "__name__", value))
async def test_what_was_corrupted_is_found(recorded: Evidence, corrupt: Callable[[Evidence], None], kind: str) -> None:
    found = deepcopy(recorded)
    corrupt(found)

    assert kind in {violation.kind for violation in check(found)}
