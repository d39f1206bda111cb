"""A saga's table as a Mermaid flowchart."""

from collections.abc import Callable, Iterator
from typing import Any

from shared_kernel.saga import Definition, Step


def diagram(definition: Definition[Any]) -> str:
    """Return the chart: the way forth in whole lines, failures and the way back in dotted ones."""
    return "\n".join(("flowchart TD", *(f"  {line}" for line in _lines(definition))))


def _lines(definition: Definition[Any]) -> Iterator[str]:
    rows = definition.rows
    asked = [row for row in rows if any(step.ask for step in row)]
    starts = " or ".join(each.event.__name__ for each in definition.starts)
    yield f'begin(["{starts}"])'
    for step in definition.each_step():
        yield from _nodes(definition, step)
    yield from (f"begin --> {_do(definition, step)}" for step in asked[0])
    for row, following in zip(asked, [*asked[1:], ()], strict=True):
        ahead = [_do(definition, step) for step in following] or ["done([done])"]
        yield from (f'{_do(definition, step)} -- "{_goes_on(step)}" --> {to}' for step in row for to in ahead)
    for number, row in enumerate(rows):
        yield from _failures(definition, number, row)
    yield from _ways_back(definition)


def _nodes(definition: Definition[Any], step: Step[Any]) -> Iterator[str]:
    if step.ask:
        again = "" if step.undo else "<br>asked until it is answered"
        yield f'{_do(definition, step)}["{step.name}<br>{_command(step.ask)}{again}"]'
    if step.undo:
        yield f'{_undo(definition, step)}["undo: {step.name}<br>{_command(step.undo)}"]'


def _failures(definition: Definition[Any], number: int, row: tuple[Step[Any], ...]) -> Iterator[str]:
    """Yield where each step of the row leads that gives up, or is silent."""
    for step in row:
        if step.ask and step.undo:
            others = [_undo(definition, each) for each in row if each is not step and each.undo]
            given_up = others or _back_from(definition, number)
            for event in (each.event.__name__ for each in step.gives_up):
                yield from (f'{_do(definition, step)} -. "{event}" .-> {to}' for to in given_up)
            yield from (f'{_do(definition, step)} -. "silence" .-> {to}' for to in (_undo(definition, step), *others))


def _ways_back(definition: Definition[Any]) -> Iterator[str]:
    undoable = [number for number, row in enumerate(definition.rows) if any(step.undo for step in row)]
    for number in reversed(undoable):
        for step in definition.rows[number]:
            if step.undone:
                label = step.undone.__name__
                yield from (f'{_undo(definition, step)} -. "{label}" .-> {to}' for to in _back_from(definition, number))
    for event in (each.event.__name__ for each in definition.called_off_by):
        yield f'off(["{event}"])'
        last = definition.rows[undoable[-1]]
        yield from (f'off -. "undoes what was asked" .-> {_undo(definition, step)}' for step in last if step.undo)


def _back_from(definition: Definition[Any], number: int) -> list[str]:
    """Return what is undone next, before the row."""
    for row in reversed(definition.rows[:number]):
        if undos := [_undo(definition, step) for step in row if step.undo]:
            return undos
    return ["undone([undone])"]


def _do(definition: Definition[Any], step: Step[Any]) -> str:
    return f"do{_number(definition, step)}"


def _undo(definition: Definition[Any], step: Step[Any]) -> str:
    return f"undo{_number(definition, step)}"


def _number(definition: Definition[Any], step: Step[Any]) -> int:
    return [each.name for each in definition.each_step()].index(step.name)


def _goes_on(step: Step[Any]) -> str:
    return step.goes_on.event.__name__ if step.goes_on else ""


def _command(ask: Callable[..., Any]) -> str:
    """Return the name of the command that the function makes: what it says it returns."""
    command: str = ask.__annotations__["return"].__name__
    return command
