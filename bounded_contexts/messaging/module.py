"""The door of messaging. Who listens to what is decided here and nowhere else."""

from functools import partial
from pathlib import Path

from bounded_contexts.messaging.adapters.graph import graph
from bounded_contexts.messaging.adapters.http import router
from bounded_contexts.messaging.adapters.http_compat import compat_routes
from bounded_contexts.messaging.adapters.socket import socket_commands
from bounded_contexts.messaging.application.ports import Ports
from bounded_contexts.messaging.application.projection import messages_sent
from infra.graph import Users
from infra.opaque import OpaqueTokens
from schemas.messaging.events import (
    ConversationArchived,
    ConversationDescribed,
    ConversationRenamed,
    ConversationStarted,
    MemberJoined,
    MemberLeft,
    MessageDeleted,
    MessageEdited,
    MessageErased,
    MessageSent,
)
from shared_kernel.module import Consumer, Count, Module, Topic, on, on_batch

NAME = "messaging"
HISTORY = "messaging.history"
READ_MODEL = ("message", "message_edit", "conversation")
MIGRATIONS = Path(__file__).parent / "adapters" / "migrations"


def module(ports: Ports, tokens: OpaqueTokens, users: Users, read_model: tuple[str, ...] = READ_MODEL) -> Module:
    """Return the context as wiring knows it."""
    return Module(
        name=NAME,
        topics=(Topic("messages"), Topic("conversations")),
        router=router(ports),
        compat_router=compat_routes(ports),
        graph=graph(ports, tokens, users),
        socket_commands=socket_commands(ports, tokens),
        has_outbox=True,
        consumers=(
            Consumer(
                HISTORY,
                (
                    on_batch(MessageSent, partial(messages_sent, ports=ports)),
                    on(MessageEdited, ports.history_writer.edited),
                    on(MessageDeleted, ports.history_writer.deleted),
                    on(MessageErased, ports.history_writer.erased),
                    on(ConversationStarted, ports.conversation_writer.changed),
                    on(ConversationDescribed, ports.conversation_writer.changed),
                    on(ConversationArchived, ports.conversation_writer.changed),
                    on(ConversationRenamed, ports.conversation_writer.changed),
                    on(MemberJoined, ports.conversation_writer.changed),
                    on(MemberLeft, ports.conversation_writer.changed),
                ),
                does="stores messages and the list of conversations",
                read_model=read_model,
                counts=(
                    Count("messages_sent", "Messages that reached history; a repeat counts again.", MessageSent),
                    Count("messages_edited", "Messages whose text was replaced.", MessageEdited),
                    Count("messages_deleted", "Messages that were taken back.", MessageDeleted),
                    Count("messages_erased", "Messages that an admin erased for good.", MessageErased),
                    Count("conversations_started", "Conversations that somebody opened.", ConversationStarted),
                ),
            ),
        ),
    )
