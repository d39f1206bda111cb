"""Walk every chain and root, holding little, and say where the first of each is not what was kept."""

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field

from bounded_contexts.audit.application.ports import Ports
from bounded_contexts.audit.domain.chain import Broken, Kept, blame, follows
from bounded_contexts.audit.domain.root import Root

Progress = Callable[[str, int, int, int], object]  # topic, partition, offset reached, last offset
Chain = tuple[str, int]
Seal = tuple[int, bytes, int]  # offset, hash, number of the root


@dataclass(slots=True)
class Report:
    """What was found. `roots_broken` says what is wrong with the first bad root, or which one is missing."""

    records: int = 0
    unsealed: int = 0  # of them, behind the newest root: that they were all replaced would not show
    chains: int = 0
    roots: int = 0
    broken: dict[Chain, Broken] = field(default_factory=dict)
    roots_broken: str | None = None

    @property
    def holds(self) -> bool:
        return not self.broken and self.roots_broken is None


async def verify(ports: Ports, topic: str | None, progress: Progress, roots: Collection[str] = ()) -> Report:
    """Return what is wrong with the roots and the chains, of all topics or of one. `roots` are hashes of roots that were
    written down elsewhere: one that is not among those that hold was removed."""
    report = Report()
    seals = await _verified_roots(ports, report, set(roots))
    done = await ports.log.done()  # before the heads: records that come meanwhile are no surprise
    ends = {(head.topic, head.partition): head.offset for head in await ports.log.heads()}
    for chain in sorted(ends.keys() | seals.keys() | done.keys()):
        if topic is None or chain[0] == topic:
            report.chains += 1
            sealed = seals.get(chain, [])
            async for at in _walk(ports, chain, sealed, done.get(chain, 0), report):
                report.records += 1
                report.unsealed += not sealed or at > sealed[-1][0]
                progress(*chain, at, ends.get(chain, 0))
    return report


async def _verified_roots(ports: Ports, report: Report, missed: set[str]) -> dict[Chain, list[Seal]]:
    """Return what the roots say of each chain, up to the first that does not hold."""
    seals: dict[Chain, list[Seal]] = {}
    previous: Root | None = None
    async for root in ports.log.roots():
        report.roots_broken = _wrong(root, previous, ports)
        if report.roots_broken:
            break
        report.roots += 1
        missed.discard(root.hash)
        for head in root.heads():
            of_chain = seals.setdefault((head.topic, head.partition), [])
            if not of_chain or of_chain[-1][0] < head.offset:
                of_chain.append((head.offset, head.hash, root.number))
        previous = root
    if missed and report.roots_broken is None:
        report.roots_broken = f"root {min(missed)} was removed"
    return seals


def _wrong(root: Root, previous: Root | None, ports: Ports) -> str | None:
    expected = (previous.number if previous else 0) + 1
    if root.number != expected:
        return f"root {expected} was removed"
    if not ports.key.is_signed(root):
        return f"root {root.number} is not signed by a trusted key"
    return None if root.names(previous) else f"root {root.number} does not follow root {expected - 1}"


async def _walk(ports: Ports, chain: Chain, seals: list[Seal], done: int, report: Report) -> AsyncIterator[int]:
    """Yield the offset of each record that holds; note the first that does not and go no further."""
    before: Kept | None = None
    waiting = iter(seals)
    seal = next(waiting, None)
    async for kept, following in _with_next(ports.log.chain(*chain)):
        if not follows(kept, before):
            report.broken[chain] = blame(before, kept, following)
            return
        if seal and seal[0] <= kept.offset:
            if (kept.offset, kept.hash) != seal[:2]:
                report.broken[chain] = Broken(seal[0], "changed", f"root {seal[2]} sealed another record here")
                return
            seal = next(waiting, None)
        before = kept
        yield kept.offset
    there = f"{before.offset} is the last one there" if before else "none is there"
    if seal:
        report.broken[chain] = Broken(seal[0], "removed", f"root {seal[2]} sealed it; {there}")
    elif (before.offset if before else -1) < done - 1:
        report.broken[chain] = Broken(done - 1, "removed", f"it was kept, says the group's position; {there}")


async def _with_next(rows: AsyncIterator[Kept]) -> AsyncIterator[tuple[Kept, Kept | None]]:
    held: Kept | None = None
    async for row in rows:
        if held:
            yield held, row
        held = row
    if held:
        yield held, None
