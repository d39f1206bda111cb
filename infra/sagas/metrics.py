"""Figures of sagas: how many are open and how, the oldest, the stuck ones, and how long those that ended have taken."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from prometheus_client import Gauge, Histogram

from infra.postgres import Database
from shared_kernel.saga import ENDED

DURATION_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
OPEN_STATES = ("running", "undoing", "parked")

DURATION = Histogram(
    "headwater_saga_duration_seconds", "From its start to its end.", ("saga", "outcome"), buckets=DURATION_S
)
OPEN = Gauge("headwater_sagas_open", "Sagas that have not ended: running, undoing or parked.", ("saga", "state"))
STUCK = Gauge("headwater_sagas_stuck", "Sagas that are parked, or open for longer than they should be.", ("saga",))
OLDEST = Gauge("headwater_sagas_oldest_open_age_seconds", "How long ago the oldest open one began.", ("saga",))

COUNT = """
select definition, case when parked is null then phase else 'parked' end as state, count(*) as count,
       count(*) filter (where parked is not null or stuck_at < now()) as stuck,
       extract(epoch from now() - min(started_at)) as age
from saga where ended_at is null group by definition, state"""


class SagaFigures:
    """What is asked of the tables, so that sagas which nobody runs are seen too. Every process of the role tells the same."""

    def __init__(self, database: Database, names: Iterable[str]) -> None:
        self._database = database
        self._names = tuple(names)
        for name in self._names:
            for outcome in ENDED:  # at 0 from the beginning
                DURATION.labels(name, outcome)

    async def look(self) -> None:
        """Count. While the database is away the figures are not numbers."""
        try:
            async with self._database.transaction() as connection:
                rows = (await connection.exec_driver_sql(COUNT)).all()
        except Exception:
            self._tell([], math.nan)
            raise
        self._tell(rows, 0.0)

    def _tell(self, rows: Sequence[Any], nothing: float) -> None:
        for name in self._names:
            own = [row for row in rows if row.definition == name]
            for state in OPEN_STATES:
                OPEN.labels(name, state).set(next((row.count for row in own if row.state == state), nothing))
            STUCK.labels(name).set(sum(row.stuck for row in own) if own else nothing)
            OLDEST.labels(name).set(max((float(row.age) for row in own), default=nothing))
