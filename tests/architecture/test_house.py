"""The rules of the house that import-linter cannot say (its contracts are in pyproject.toml)."""

import ast
import re
from importlib import import_module
from pathlib import Path

import grimp
import pytest

from headwater import wiring
from schemas.catalogue import EVENTS
from shared_kernel.module import Consumer, Module

ROOT = Path(__file__).parent.parent.parent
CONTEXTS = sorted(path.parent.name for path in ROOT.glob("bounded_contexts/*/__init__.py"))

# Renaming a group reads its topics from the beginning again: change this list only to add to it.
GROUPS = {
    "documents.conversion": ["documents", "users"],
    "documents.invoices": ["orders"],
    "documents.jobs": ["documents"],
    "documents.rendering": ["documents", "users"],
    "identity.directory": ["users"],
    "identity.mail": ["sessions", "users"],
    "identity.sessions": ["users"],
    "inventory.commands": ["stock-commands"],
    "inventory.stock": ["reservations", "stock"],
    "messaging.history": ["conversations", "messages"],
    "notifications.inbox": ["documents", "messages", "notifications", "orders"],
    "ordering.commands": ["order-commands"],
    "ordering.orders": ["orders", "users"],
    "payments.commands": ["payment-commands"],
    "payments.payments": ["payments"],
    "realtime.rules": ["documents", "notifications", "orders"],
    "sagas": ["orders", "payments", "reservations"],
}
# Tables that outlive a rebuild: what they say holds for events read again, or is kept once.
KEPT = {
    "messaging": ("erasure",),
    "audit": ("record", "root"),
    "payments": ("webhook",),
    "documents": ("placed_order",),
    "realtime": (
        "node",
        "presence",
        "recovery",
        "session",
        "publish_key",
        "signed_request",
        "occupied",
        "webhook",
        "webhook_delivery",
        "webhook_subject",
    ),
    "identity": (
        "address",
        "credential",
        "user_key",
        "session",
        "signing_key",
        "api_key",
        "totp",
        "recovery_code",
        "service_account",
        "service_secret",
        "attempt",
        "login",
        "used_state",
    ),
    "sagas": ("saga", "step", "note", "clock"),
}
RECORDERS = {
    "audit.log": [
        "conversations",
        "documents",
        "messages",
        "notifications",
        "order-commands",
        "orders",
        "payment-commands",
        "payments",
        "publish-keys",
        "reservations",
        "sessions",
        "stock",
        "stock-commands",
        "ui-updates",
        "users",
    ]
}
ROLES = (
    "web",
    "relay",
    "identity.directory",
    "identity.sessions",
    "identity.mail",
    "messaging.history",
    "notifications.inbox",
    "ordering.commands",
    "ordering.orders",
    "inventory.commands",
    "inventory.stock",
    "payments.commands",
    "payments.payments",
    "documents.rendering",
    "documents.invoices",
    "documents.conversion",
    "documents.jobs",
    "realtime.rules",
    "sagas",
    "audit.log",
    "realtime.delivery",
)
WRITES = {"append", "publish", "execute"}  # each records; `execute` appends


@pytest.fixture(scope="module")
def modules() -> tuple[Module, ...]:
    return wiring.build(wiring.SHAPE).modules


@pytest.fixture(scope="module")
def consumers(modules: tuple[Module, ...]) -> list[tuple[str, Consumer]]:
    return [(module.name, consumer) for module in modules for consumer in module.consumers]


def home_of(context: str) -> str:
    """Return the package that has the context's tables. Sagas are no context: they are run by the cellar."""
    return "infra.sagas" if context == "sagas" else f"bounded_contexts.{context}.adapters"


def test_group_names_are_the_pinned_ones(modules: tuple[Module, ...], consumers: list[tuple[str, Consumer]]) -> None:
    found = {each.group: sorted({handler.event.TOPIC for handler in each.handlers}) for _, each in consumers}

    recorders = [module.recorder for module in modules if module.recorder]

    assert found == GROUPS
    assert {each.group: sorted(each.topics) for each in recorders} == RECORDERS
    assert wiring.all_roles() == ROLES


def test_every_topic_of_a_context_is_kept_by_the_audit_log(modules: tuple[Module, ...]) -> None:
    (recorder,) = [module.recorder for module in modules if module.recorder]

    assert sorted(recorder.topics) == sorted(topic.name for module in modules for topic in module.topics)


def test_a_group_is_named_after_its_context(consumers: list[tuple[str, Consumer]]) -> None:
    assert all(consumer.group.startswith(f"{context}.") for context, consumer in consumers if context != "sagas")


def test_every_table_is_rebuilt_by_one_group_or_kept(consumers: list[tuple[str, Consumer]]) -> None:
    for context in wiring.MIGRATIONS:
        rebuilt = [table for name, each in consumers if name == context for table in each.read_model]
        tables = import_module(f"{home_of(context)}.tables").metadata.sorted_tables

        assert sorted([*rebuilt, *KEPT.get(context, ())]) == sorted(table.name for table in tables)


def test_adapters_name_tables_without_a_schema_so_that_a_rebuild_writes_to_its_own() -> None:
    for context in wiring.MIGRATIONS:
        adapters = ROOT.joinpath(*home_of(context).split("."))
        tables = import_module(f"{home_of(context)}.tables").metadata.sorted_tables
        named = re.compile(rf"\b(from|into|update|join|table)\s+{context}\.", re.IGNORECASE)

        assert [table.fullname for table in tables if table.schema] == []
        assert [path.name for path in adapters.glob("*.py") if named.search(path.read_text())] == []


def test_foreign_subscriptions_are_to_public_events(modules: tuple[Module, ...]) -> None:
    heard = {
        (module.name, event)
        for module in modules
        for event in (
            *(handler.event for consumer in module.consumers for handler in consumer.handlers),
            *(module.feed.events if module.feed else ()),
        )
    }

    foreign = [(context, event) for context, event in heard if f".{context}." not in event.NAME]
    assert [event.NAME for _, event in foreign if event.VISIBILITY != "public"] == []


def test_every_event_lies_on_a_topic_of_its_own_context(modules: tuple[Module, ...]) -> None:
    owned = {topic.name: module.name for module in modules for topic in module.topics}

    assert [event.NAME for event in EVENTS if event.NAME.split(".")[1] != owned.get(event.TOPIC)] == []


def test_a_domain_uses_only_its_own_schemas() -> None:
    graph = grimp.build_graph("bounded_contexts", "schemas", include_external_packages=False)
    for context in CONTEXTS:
        for module in graph.find_descendants(f"bounded_contexts.{context}"):
            if ".domain" not in module:
                continue
            foreign = [
                imported
                for imported in graph.find_modules_directly_imported_by(module)
                if imported.startswith("schemas.") and not imported.startswith((f"schemas.{context}", "schemas.wire"))
            ]
            assert foreign == [], module


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("bounded_contexts/*/application/commands.py")), ids=lambda path: path.parts[-3]
)
def test_a_command_writes_exactly_once(path: Path) -> None:
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.AsyncFunctionDef)]

    assert functions
    for function in functions:
        calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
        names = [func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls]
        assert len([name for name in names if name in WRITES]) == 1, function.name


def test_no_module_is_longer_than_400_lines() -> None:
    floors = ("headwater", "bounded_contexts", "infra", "shared_kernel", "sagas")
    sources = [path for floor in floors for path in (ROOT / floor).rglob("*.py")]

    assert [str(path.relative_to(ROOT)) for path in sources if len(path.read_text().splitlines()) > 400] == []
