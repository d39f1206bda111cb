"""Copies of a context's tables in a schema beside its own, and the switch from the ones to the others (docs/consumers.md)."""

from collections.abc import Sequence

import asyncpg

from shared_kernel.errors import Conflict

OTHERS = """
select format('%I', c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p') and c.relname <> all($2::text[])"""
# As far as they are visible, names come out without a schema: run again, the statements mean the copies.
INDEXES = """
select format('alter table %I add constraint %I %s', t.relname, c.conname, pg_get_constraintdef(c.oid, true)) as made,
       c.contype = 'f' as last
from pg_constraint c join pg_class t on t.oid = c.conrelid join pg_namespace n on n.oid = t.relnamespace
where n.nspname = $1 and t.relname = any($2::text[]) and c.contype in ('p', 'u', 'x', 'f')
union all
select pg_get_indexdef(i.indexrelid, 0, true), false
from pg_index i join pg_class t on t.oid = i.indrelid join pg_namespace n on n.oid = t.relnamespace
where n.nspname = $1 and t.relname = any($2::text[])
  and not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.conrelid = t.oid)
order by last"""
GRANTS = """
select format('grant %s on schema %I to %s', a.privilege_type, $2::text,
              case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end) as made
from pg_namespace n, aclexplode(n.nspacl) a where n.nspname = $1 and a.grantee <> n.nspowner
  and a.privilege_type = 'USAGE'
union all
select format('alter table %I.%I owner to %I', $2::text, c.relname, pg_get_userbyid(c.relowner))
from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = any($3::text[])
union all
select format('grant %s on table %I.%I to %s%s', a.privilege_type, $2::text, c.relname,
              case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
              case when a.is_grantable then ' with grant option' else '' end)
from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
where n.nspname = $1 and c.relkind in ('r', 'p') and a.grantee <> c.relowner"""
VIEW = "create view {shadow}.{table} with (security_invoker = true) as select * from {context}.{table}"
# Everything about a table that whoever uses it could miss, also what is not copied: then the two differ.
SHAPE = """
with t as (
    select c.* from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relname = any($2::text[]))
select concat_ws(' ', 'table', relname, 'of', pg_get_userbyid(relowner), relpersistence, relrowsecurity, relreplident,
                 reloptions, (select array_agg(x::text order by x::text) from unnest(relacl) x)) as line from t
union all
select concat_ws(' ', 'column', relname, row_number() over (partition by t.oid order by attnum), attname,
                 format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attstorage, attcompression,
                 attcollation, attacl, pg_get_expr(d.adbin, d.adrelid))
from t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
     left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
union all
select concat_ws(' ', 'constraint', relname, conname, pg_get_constraintdef(c.oid, true))
from t join pg_constraint c on c.conrelid = t.oid
union all
select concat_ws(' ', 'reference', relname, c.conrelid::regclass, conname)
from t join pg_constraint c on c.confrelid = t.oid
union all
select concat_ws(' ', 'index', relname, indexrelid::regclass, pg_get_indexdef(indexrelid, 0, true))
from t join pg_index i on i.indrelid = t.oid
union all
select concat_ws(' ', 'trigger', relname, tgname) from t join pg_trigger g on g.tgrelid = t.oid and not tgisinternal
union all
select concat_ws(' ', 'policy', relname, polname) from t join pg_policy p on p.polrelid = t.oid
union all
select concat_ws(' ', 'publication', relname, pubname)
from t join pg_publication_rel r on r.prrelid = t.oid join pg_publication p on p.oid = r.prpubid"""


def shadow_schema(context: str) -> str:
    """Return where the copies of the context's tables are while they are filled."""
    return f"{context}_rebuild"


class Shadow:
    """Empty tables like the context's `tables`; its other tables can be read and written through views.

    Nobody who writes to the shadow looks anywhere else: once it is gone, a statement that comes late finds no table."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", context: str, tables: Sequence[str]) -> None:
        self._connection = connection
        self._context = context
        self._tables = list(tables)
        self._schema = shadow_schema(context)
        self._former = f"{context}_before"

    async def create(self) -> None:
        """Make the copies. Raise `Conflict` for tables with something that is not copied."""
        async with self._connection.transaction():
            await self.drop()
            await self._do(f"drop schema if exists {self._former} cascade", f"create schema {self._schema}")
            for table in self._tables:
                like = f"(like {self._context}.{table} including all excluding indexes)"
                await self._do(f"create table {self._schema}.{table} {like}")
            await self._visible(self._context)
            indexes = await self._lines(INDEXES, self._context, self._tables)
            others = await self._lines(OTHERS, self._context, self._tables)
            await self._visible(self._schema, self._context)
            await self._do(*indexes)
            for other in others:
                await self._do(VIEW.format(shadow=self._schema, context=self._context, table=other))
            await self._do(*await self._lines(GRANTS, self._context, self._schema, self._tables))
            await self.require_likeness()

    async def require_likeness(self) -> None:
        """Raise `Conflict` if copies and tables differ in anything but their rows."""
        await self._visible(self._context)
        ours = set(await self._lines(SHAPE, self._context, self._tables))
        await self._visible(self._schema, self._context)
        if different := sorted(ours ^ set(await self._lines(SHAPE, self._schema, self._tables))):
            raise Conflict("tables_differ", f"not copied, or changed since: {different[0]}")

    async def analyze(self) -> None:
        """Give the planner its figures before anybody reads the copies."""
        await self._do(*(f"analyze {self._schema}.{table}" for table in self._tables))

    async def switch(self, *, keep: bool) -> None:
        """Put the copies in the place of the tables, in the surrounding transaction. Raise `Conflict` if somebody's view
        hangs on the tables."""
        await self._do(f"create schema {self._former}")
        for table in self._tables:
            await self._do(f"alter table {self._context}.{table} set schema {self._former}")
            await self._do(f"alter table {self._schema}.{table} set schema {self._context}")
        await self.drop()
        if keep:
            return
        former = ", ".join(f"{self._former}.{table}" for table in self._tables)
        try:
            await self._do(f"drop table {former}", f"drop schema {self._former}")
        except asyncpg.DependentObjectsStillExistError as error:
            raise Conflict("tables_differ", f"{error}: {error.detail}") from None

    async def drop(self) -> None:
        """Forget the copies, if there are any."""
        await self._do(f"drop schema if exists {self._schema} cascade")

    async def _visible(self, *schemas: str) -> None:
        await self._do(f"set local search_path = {', '.join(schemas)}")

    async def _do(self, *statements: str) -> None:
        for statement in statements:
            await self._connection.execute(statement)

    async def _lines(self, query: str, *arguments: object) -> list[str]:
        return [row[0] for row in await self._connection.fetch(query, *arguments)]
