"""People who buy things, call orders off and send them back, and staff who receive, ship and take back. All of it is noted."""

import asyncio
import random
from collections.abc import Iterator
from itertools import count
from time import monotonic
from typing import Any

import httpx

from tests.crash.history import History, Outcome
from tests.crash.recovery import UNREACHABLE
from tests.crash.workload import Rest, noted

PLENTY = tuple(f"plenty-{number}" for number in range(6))
RARE = tuple(f"rare-{number}" for number in range(2))  # of which there are not enough for everybody
WRAPPING = tuple(f"wrapping-{number}" for number in range(2))  # one in every order: many want it at once
CANARY = "canary"
DECLINED_CENTS = 13  # the simulated provider declines an amount that ends like this
FIRST_PRICE = 1_000
DECLINED_SHARE = 0.08
RARE_SHARE = 0.15
SETTLED = ("confirmed", "shipped", "rejected", "cancelled", "returned")
SETTLED_S = 240.0  # a saga gives up before, and has its undos answered
LOOK_S = 0.5
RESTOCKED = 10  # times in a run
# What becomes of an order that was placed, and how often.
PLANS = {"keep": 60, "call off": 15, "cancel": 10, "ship": 8, "return": 7}


class Shop:
    """Buyers, each with one order after the other, and what they sell."""

    def __init__(self, buyers: list[str], staff: str, rest: Rest, history: History, seed: int) -> None:
        self.placed = 0  # and acknowledged
        self.settled_s: list[
            float
        ] = []  # seconds from the request to the answer that says so, of orders that were kept
        self._buyers = buyers
        self._staff = staff
        self._rest = rest
        self._history = history
        self._seed = seed
        self._prices = count(FIRST_PRICE)
        self._received: set[int] = set()
        self._afterwards: set[asyncio.Task[None]] = set()

    async def open(self, orders: int) -> None:
        """Add what is sold, enough of most, before anything goes wrong."""
        for sku in (*PLENTY, *RARE, *WRAPPING, CANARY):
            answer = await self._rest(self._staff).post("/stock-items", json={"sku": sku, "name": f"One {sku}"})
            answer.raise_for_status()
            await self._receive(sku, orders // 40 if sku in RARE else orders * 4 + 1_000)

    async def run(self, orders: int, seconds: float) -> None:
        """Have so many orders placed within so many seconds, or as soon as it can be, and what was planned for them done."""
        every = seconds * len(self._buyers) / orders
        shares = [orders // len(self._buyers) + (n < orders % len(self._buyers)) for n in range(len(self._buyers))]
        buying = [self._buy(buyer, share, every) for buyer, share in zip(self._buyers, shares, strict=True)]
        await asyncio.gather(*buying, self._restock(orders // 400, seconds / RESTOCKED))
        while self._afterwards:
            await asyncio.gather(*self._afterwards)

    async def place(self, buyer: str, lines: list[dict[str, Any]], *, insists: bool = True) -> tuple[Outcome, str]:
        """Place an order; return its id if it was acknowledged. The price of its first line is its name."""
        name = str(lines[0]["unit_price_minor"])
        body = {"currency": "EUR", "lines": lines}
        outcome, answer = await noted(
            self._history, "place", name, buyer, "",
            lambda: self._rest(buyer).post("/orders", json=body, headers={"Idempotency-Key": name}), insists=insists,
        )  # fmt: skip
        self.placed += answer is not None
        return outcome, answer.json()["id"] if answer else ""

    async def settled(self, buyer: str, order: str) -> str:
        """Wait until the order has come to an end, and return which; nothing if it takes too long."""
        until = monotonic() + SETTLED_S
        while monotonic() < until:
            try:
                answer = await self._rest(buyer).get(f"/orders/{order}")
                if answer.is_success and (status := str(answer.json()["status"])) in SETTLED:
                    return status
            except (httpx.TransportError, *UNREACHABLE):
                pass
            await asyncio.sleep(LOOK_S)
        return ""

    def canary(self) -> list[dict[str, Any]]:
        """Return the lines of an order that can be had."""
        return [{"sku": CANARY, "quantity": 1, "unit_price_minor": next(self._prices)}]

    async def _buy(self, buyer: str, orders: int, every: float) -> None:
        chance = random.Random(f"{self._seed}/{buyer}")
        due = monotonic() + chance.uniform(0, every)
        for _ in range(orders):
            await asyncio.sleep(max(0.0, due - monotonic()))
            due += every
            lines, begun = list(self._lines(chance)), monotonic()
            _, order = await self.place(buyer, lines, insists=chance.random() < 0.8)
            (plan,) = chance.choices(list(PLANS), list(PLANS.values()))
            if order:
                name = str(lines[0]["unit_price_minor"])
                task = asyncio.create_task(self._go_on(buyer, order, name, plan, chance.uniform(0, 3), begun))
                self._afterwards.add(task)
                task.add_done_callback(self._afterwards.discard)

    def _lines(self, chance: random.Random) -> Iterator[dict[str, Any]]:
        """Yield lines of a price that nobody else pays, and a last one that decides whether the provider declines."""
        sku = chance.choice(RARE if chance.random() < RARE_SHARE else PLENTY)
        price, quantity = next(self._prices), chance.randint(1, 3)
        yield {"sku": sku, "quantity": quantity, "unit_price_minor": price}
        wanted = DECLINED_CENTS if chance.random() < DECLINED_SHARE else DECLINED_CENTS + chance.randint(1, 99)
        cents = (wanted - price * quantity) % 100
        yield {"sku": chance.choice(WRAPPING), "quantity": 1, "unit_price_minor": cents}

    async def _go_on(self, buyer: str, order: str, name: str, plan: str, pause: float, begun: float) -> None:
        """Do what is planned for an order; what cannot be done any more is refused, and noted so."""
        if plan == "call off":
            await asyncio.sleep(pause)
            await self._do("cancel", buyer, order, name, reason=f"cancel {name}")
            return
        status = await self.settled(buyer, order)
        if status == "confirmed":
            self.settled_s.append(monotonic() - begun)
            if plan == "cancel":
                await self._do("cancel", buyer, order, name, reason=f"cancel {name}")
            if plan in ("ship", "return"):
                await self._do("ship", self._staff, order, name, tracking_code=f"ship {name}")
            if plan == "return":
                await self._do("return", self._staff, order, name, reason=f"return {name}")

    async def _do(self, kind: Any, actor: str, order: str, name: str, **body: str) -> None:
        path = f"/orders/{order}:{kind}"
        await noted(
            self._history, kind, f"{kind} {name}", actor, name, lambda: self._rest(actor).post(path, json=body)
        )  # fmt: skip

    async def _restock(self, quantity: int, every: float) -> None:
        for _ in range(RESTOCKED):
            await asyncio.sleep(every)
            for sku in RARE:
                await self._receive(sku, quantity)

    async def _receive(self, sku: str, quantity: int) -> None:
        """Book units; no two receipts are of the same size, so that each is known by it."""
        while quantity in self._received:
            quantity += 1
        self._received.add(quantity)
        name = f"receive {quantity}"
        path, body = f"/stock-items/{sku}:receive", {"quantity": quantity}
        headers = {"Idempotency-Key": name}
        await noted(
            self._history, "receive", name, self._staff, sku,
            lambda: self._rest(self._staff).post(path, json=body, headers=headers),
        )  # fmt: skip
