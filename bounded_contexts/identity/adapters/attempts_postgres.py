"""How often somebody has tried to sign in; every process counts in the same rows. Port `Attempts`."""

from collections.abc import Sequence

import sqlalchemy as sa

from infra import secret_keys
from infra.postgres import Database
from infra.rate_limit import RateLimited

FREE = {"account": 5, "address": 20}  # attempts without a wait: behind one address there may be many people
LONGEST_S = 900  # waits double: 1, 2, 4 … seconds
PRUNED_EVERY = 1000  # attempts
FORGET_S = 3600  # after the last attempt
PARDON_S = 300  # after which one failure less is held against somebody

# One statement decides, so that of many at once one passes. What comes while it has to wait counts for nothing.
ADMIT = sa.text("""
insert into attempt as a (digest, failures, failed_at) values (:digest, 1, now())
on conflict (digest) do update
    set failures = greatest(a.failures - floor(extract(epoch from now() - a.failed_at) / :pardon)::int, 0) + 1,
        failed_at = now()
    where a.failures < :free
       or a.failed_at + make_interval(secs => least(power(2, least(a.failures - :free, 30)), :longest)) <= now()
returning a.failures""")
WAIT = sa.text("""
select ceil(extract(epoch from failed_at + make_interval(secs => least(power(2, least(failures - :free, 30)), :longest))
                               - now())) from attempt where digest = :digest""")
# Whoever comes next finds it as this one did: with right passwords nobody keeps those behind the same address waiting.
LESS = sa.text("""
update attempt
    set failures = greatest(failures - 1, 0),
        failed_at = now() - make_interval(secs => least(power(2, least(greatest(failures - 1 - :free, 0), 30)), :longest))
    where digest = :digest""")
PRUNE = sa.text("delete from attempt where failed_at < now() - make_interval(secs => :forget)")
FORGET = sa.text("delete from attempt where digest = :digest")


class PostgresAttempts:
    def __init__(self, database: Database, secret: str) -> None:
        self._database = database
        self._key = secret_keys.derived(secret, "identity attempts")
        self._admitted = 0

    async def admit(self, keys: Sequence[str]) -> None:
        self._admitted += 1
        if self._admitted % PRUNED_EVERY == 0:
            async with self._database.transaction() as connection:
                await connection.execute(PRUNE, {"forget": FORGET_S})
        for key in keys:
            limits = self._limits(key)
            async with self._database.transaction() as connection:
                if await connection.scalar(ADMIT, limits | {"pardon": PARDON_S}) is None:
                    wait = await connection.scalar(WAIT, limits)
                    raise RateLimited(max(int(wait or 1), 1))

    async def succeeded(self, keys: Sequence[str]) -> None:
        for key in keys:
            async with self._database.transaction() as connection:
                if key.startswith("account:"):
                    await connection.execute(FORGET, {"digest": self._digest(key)})
                else:
                    await connection.execute(LESS, self._limits(key))

    def _limits(self, key: str) -> dict[str, object]:
        return {"digest": self._digest(key), "free": FREE[key.partition(":")[0]], "longest": LONGEST_S}

    def _digest(self, key: str) -> bytes:
        return secret_keys.digest(self._key, key)
