"""Payments with real servers and the provider as a process of its own: each way it fails, each moment something dies, every
payment ends with the money where its events say, and no charge is made twice."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from bounded_contexts.payments.adapters.payments_postgres import PostgresPayments
from bounded_contexts.payments.application.ports import Listed
from bounded_contexts.payments.domain.commands import Command, payment_id_of
from bounded_contexts.payments.domain.payment import PaymentEvent
from headwater.wiring import House
from infra.chores import run_chore
from infra.event_store_postgres import PostgresEventStore
from infra.kafka_log import KafkaLog
from infra.outbox_relay import OutboxRelay
from schemas.payments.events import AuthorizePayment, CapturePayment, RefundPayment, VoidPayment
from tests.integration.conftest import house_of_its_own
from tests.integration.test_crashes import running
from tests.payment_provider import ProviderProcess, provider_process
from tests.probes import during, eventually
from tests.servers import Servers

QUICK = {"payment_attempt_timeout": 0.5, "payment_timeout": 1.5}


@dataclass(frozen=True, slots=True)
class Shop:
    """A house whose payments lead to a provider; tests ask as sagas do."""

    house: House
    provider: ProviderProcess

    async def ask(self, command: Command) -> None:
        await KafkaLog(self.house.commands, self.house.codec).publish(command)

    async def authorize(self, order: UUID, amount: int = 1250) -> None:
        now = datetime.now(UTC)
        fields: dict[str, Any] = {"amount_minor": amount, "currency": "EUR"}
        await self.ask(AuthorizePayment(order_id=order, buyer_id=uuid4(), asked_at=now, **fields))

    async def capture(self, order: UUID) -> None:
        await self.ask(CapturePayment(order_id=order, asked_at=datetime.now(UTC)))

    async def void(self, order: UUID) -> None:
        await self.ask(VoidPayment(order_id=order, asked_at=datetime.now(UTC)))

    async def refund(self, order: UUID) -> None:
        await self.ask(RefundPayment(order_id=order, asked_at=datetime.now(UTC)))

    async def events(self, order: UUID) -> list[PaymentEvent]:
        store: PostgresEventStore[PaymentEvent] = PostgresEventStore(
            self.house.databases["payments"], "payments", self.house.codec
        )
        return list((await store.load(payment_id_of(order)))[0])

    async def said(self, order: UUID, *names: str, within: float = 45.0) -> list[PaymentEvent]:
        """Return the payment's events once they are these."""

        async def look() -> list[PaymentEvent]:
            return await self.events(order)

        def are_these(events: list[PaymentEvent]) -> bool:
            return [type(event).__name__.removeprefix("Payment") for event in events] == [*names]

        return await eventually(look, until=are_these, within=within)

    async def listed(self, order: UUID, status: str) -> Listed:
        """Return the payment once reads show this status."""
        payments = PostgresPayments(self.house.databases["payments"])
        found = await eventually(
            lambda: payments.of_order(order), until=lambda each: each is not None and each.status == status
        )
        assert found is not None
        return found

    def done(self, order: UUID) -> list[str]:
        return self.provider.done(payment_id_of(order))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    with provider_process(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(autouse=True)
def sound(provider: ProviderProcess) -> None:
    """Begin with a provider that fails in no way."""
    provider.fail()


@pytest.fixture(scope="module")
async def shop(migrated: Servers, provider: ProviderProcess) -> AsyncIterator[Shop]:
    async with house_of_its_own(migrated, **provider.settings, **QUICK) as house, at_work(house):
        yield Shop(house, provider)


@asynccontextmanager
async def at_work(house: House) -> AsyncIterator[None]:
    """Run what payments need while the block lasts."""
    async with relayed(house), running(house, "payments.commands"), running(house, "payments.payments"), chores(house):
        yield


@asynccontextmanager
async def relayed(house: House) -> AsyncIterator[None]:
    async with during(OutboxRelay(house.databases["payments"], "payments", house.bulk).run()):
        yield


@asynccontextmanager
async def chores(house: House) -> AsyncIterator[None]:
    (chore,) = (chore for module in house.modules for chore in module.chores if module.name == "payments")
    async with during(run_chore(chore)):
        yield


async def test_money_is_held_then_taken_then_given_back_once_each(shop: Shop) -> None:
    order = uuid4()

    await shop.authorize(order)
    await shop.authorize(order)
    await shop.said(order, "Requested", "Authorized")
    await shop.capture(order)
    await shop.capture(order)
    await shop.said(order, "Requested", "Authorized", "CaptureRequested", "Captured")
    await shop.refund(order)
    await shop.refund(order)

    listed = await shop.listed(order, "refunded")
    assert (listed.captured_minor, listed.refunded_minor, listed.currency) == (1250, 1250, "EUR")
    assert shop.done(order) == ["authorize", "capture", "refund"]


async def test_a_refund_that_was_declined_is_owed_and_given_back_when_it_is_asked_for_again(shop: Shop) -> None:
    order = uuid4()
    await shop.authorize(order)
    await shop.capture(order)
    taken = ("Requested", "Authorized", "CaptureRequested", "Captured")
    await shop.said(order, *taken)

    shop.provider.fail(next={"refund": ["decline"]})
    await shop.refund(order)
    owed = (*taken, "RefundRequested", "RefundDeclined")
    await shop.said(order, *owed)
    payments = PostgresPayments(shop.house.databases["payments"])

    def is_owed(found: Listed | None) -> bool:
        return found is not None and (found.status, found.reason, found.asked) == ("captured", "card_declined", ())

    await eventually(lambda: payments.of_order(order), until=is_owed)

    await shop.refund(order)
    await shop.said(order, *owed, "RefundRequested", "Refunded")
    assert (await shop.listed(order, "refunded")).refunded_minor == 1250


async def test_an_undo_before_its_do_is_remembered(shop: Shop) -> None:
    early, late = uuid4(), uuid4()

    await shop.void(early)
    await shop.authorize(early)
    await shop.authorize(late)
    await shop.refund(late)
    await shop.capture(late)

    await shop.said(early, "Voided", "Declined")
    await shop.said(late, "Requested", "Authorized", "Refunded", "CaptureDeclined")
    assert (shop.done(early), shop.done(late)) == ([], ["authorize"])


async def test_a_declined_payment_holds_nothing(shop: Shop) -> None:
    order = uuid4()

    await shop.authorize(order, amount=1013)
    await shop.said(order, "Requested", "Declined")
    await shop.void(order)

    await shop.said(order, "Requested", "Declined", "Voided")
    assert (await shop.listed(order, "declined")).reason == "insufficient_funds"
    assert shop.done(order) == []


@pytest.mark.parametrize("fault", ["refuse", "lost"])
async def test_what_fails_for_a_moment_is_asked_again_with_the_same_key(shop: Shop, fault: str) -> None:
    order = uuid4()
    shop.provider.fail(next={"authorize": [fault], "capture": [fault, fault]})

    await shop.authorize(order)
    await shop.said(order, "Requested", "Authorized")
    await shop.capture(order)
    await shop.said(order, "Requested", "Authorized", "CaptureRequested", "Captured")

    assert shop.done(order) == ["authorize", "capture"]


@pytest.mark.parametrize(("fault", "held"), [("hang", []), ("late", ["authorize"])])
async def test_a_void_of_what_is_not_known_finds_out_and_voids(shop: Shop, fault: str, held: list[str]) -> None:
    order = uuid4()
    shop.provider.fail(next={"authorize": [fault] * 3})

    await shop.authorize(order)
    await eventually(lambda: shop.events(order), until=lambda events: len(events) == 1)
    await shop.void(order)

    await shop.said(order, "Requested", "VoidRequested", "Authorized", "Voided")
    assert shop.done(order) == ["authorize", "void"]


async def test_a_payment_of_no_known_outcome_is_resolved_by_looking_it_up(shop: Shop) -> None:
    order = uuid4()
    shop.provider.fail(next={"authorize": ["late"] * 3}, late_s=30)

    await shop.authorize(order)

    await shop.said(order, "Requested", "Authorized")
    assert shop.done(order) == ["authorize"]
    assert len(shop.provider.ledger(payment_id_of(order))) == 1


@pytest.mark.parametrize(
    ("fault", "status", "done"),
    [("lost", "refunded", ["authorize", "capture", "refund"]), ("refuse", "voided", ["authorize", "void"])],
)
async def test_a_capture_of_no_known_outcome_is_undone_whatever_it_was(
    shop: Shop, fault: str, status: str, done: list[str]
) -> None:
    order = uuid4()
    shop.provider.fail(next={"capture": [fault] * 3})
    await shop.authorize(order)
    await shop.said(order, "Requested", "Authorized")

    await shop.capture(order)
    await shop.refund(order)
    await shop.void(order)

    await shop.listed(order, status)
    assert shop.done(order) == done


async def test_a_provider_that_was_killed_has_forgotten_nothing(shop: Shop) -> None:
    order = uuid4()
    await shop.authorize(order)
    await shop.said(order, "Requested", "Authorized")

    shop.provider.kill()
    await shop.capture(order)
    await eventually(lambda: shop.events(order), until=lambda events: len(events) == 3)
    await asyncio.to_thread(shop.provider.start)

    await shop.said(order, "Requested", "Authorized", "CaptureRequested", "Captured")
    assert shop.done(order) == ["authorize", "capture"]


# Appends of the role: the intent to authorise, its outcome, the intent to capture, its outcome.
@pytest.mark.parametrize(
    "at", [f"append.{when}:{nth}" for nth in range(1, 5) for when in ("before-commit", "after-commit")]
)
async def test_a_role_that_dies_between_call_and_record_charges_once(
    migrated: Servers, provider: ProviderProcess, at: str
) -> None:
    order = uuid4()
    async with house_of_its_own(migrated, **provider.settings, **QUICK) as house, relayed(house):
        shop = Shop(house, provider)
        await shop.authorize(order)
        async with role(house, HEADWATER_CRASH_AT=at) as doomed:
            if int(at[-1]) > 2:
                await shop.said(order, "Requested", "Authorized")
                await shop.capture(order)
            assert await doomed.wait() == -9
        await shop.capture(order)
        async with running(house, "payments.commands"):
            await shop.said(order, "Requested", "Authorized", "CaptureRequested", "Captured")

    assert provider.done(payment_id_of(order)) == ["authorize", "capture"]


@asynccontextmanager
async def role(house: House, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `payments.commands` as a process of its own."""
    settings = house.settings
    given = {
        name: getattr(settings, name)
        for name in (
            "kafka_bootstrap_servers",
            "database_url",
            "schema_registry_url",
            "secret_key",
            "topic_prefix",
            "payment_provider_url",
            "payment_provider_key",
        )
    }
    own = {
        f"HEADWATER_{name.upper()}": value if isinstance(value, str) else value.get_secret_value()
        for name, value in given.items()
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headwater", "run", "payments.commands", "--port", "0"),
        env={**os.environ, **own, **environment},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
