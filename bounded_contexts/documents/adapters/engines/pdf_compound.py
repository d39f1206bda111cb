"""Blocks that hold others, on pages and in rooms of their own."""

from typing import Final

from bounded_contexts.documents.adapters.engines.pdf_boxes import ENDLESS, Drawn, boxed
from bounded_contexts.documents.adapters.engines.pdf_flow import Flow
from bounded_contexts.documents.adapters.engines.pdf_tables import TableLayout, natural_width, shared
from bounded_contexts.documents.domain.rendering.blocks import Columns, Group, Table

LEAST: Final = 36.0  # points that blocks begin in


def place(flow: Flow, block: Table | Group | Columns) -> None:
    """Place a block that holds others."""
    match block:
        case Table():
            TableLayout(flow, block).draw()
        case Columns():
            _columns(flow, block)
        case Group(keep_together=False, padding=0.0, border=None, background=None):
            flow.place_all(block.blocks)
        case Group():
            _group(flow, block)


def _group(flow: Flow, group: Group) -> None:
    """In one piece where it is to be kept together or fits anyway; in one frame for each page where not."""
    around = 2 * group.padding
    width = flow.width - around
    whole = boxed(flow, group.blocks, width)
    height, page = _height(flow, whole) + around, flow.number
    if group.keep_together and height <= flow.following_room:
        flow.need(height)
    if height <= flow.room:
        # what says its page says another one now
        _framed(flow, group, whole[0] if flow.number == page else boxed(flow, group.blocks, width)[0])
        return
    for number, room in enumerate(boxed(flow, group.blocks, width, *_rooms(flow, around))):
        if number:
            flow.new_page()
        if room.height:
            _framed(flow, group, room)


def _framed(flow: Flow, group: Group, room: Drawn) -> None:
    height = room.height + 2 * group.padding
    if group.background:
        flow.sheets.box(flow.left, flow.y - height, flow.width, height, group.background)
    if group.border:
        flow.sheets.frame(flow.left, flow.y - height, flow.width, height, group.border)
    room.draw(flow.sheets, flow.left + group.padding, flow.y - group.padding)
    flow.y -= height
    flow.add_notes(room.notes)
    flow.y -= min(4.0, max(flow.room, 0.0)) if group.padding else 0.0


def _columns(flow: Flow, columns: Columns) -> None:
    """Side by side; where they are higher than what is left of the page they begin a new one, and where they are higher
    than any they go on side by side."""
    gaps = columns.gap * (len(columns.items) - 1)
    widths = shared(
        columns.widths, max(flow.width - gaps, 12.0), lambda number: natural_width(columns.items[number], flow) + 0.01
    )
    lefts = [sum(widths[:number]) + columns.gap * number for number in range(len(widths))]

    def laid(first: float, full: float) -> list[list[Drawn]]:
        return [boxed(flow, blocks, width, first, full) for blocks, width in zip(columns.items, widths, strict=True)]

    pages, page = laid(ENDLESS, ENDLESS), flow.number
    height = _height(flow, [rooms[0] for rooms in pages])
    if height <= flow.following_room:
        flow.need(height)
    if height > flow.room:
        pages = laid(*_rooms(flow, 0.0))
    elif flow.number != page:  # what says its page says another one now
        pages = laid(ENDLESS, ENDLESS)
    for number in range(max(len(rooms) for rooms in pages)):
        if number:
            flow.new_page()
        top = flow.y
        for rooms, left in zip(pages, lefts, strict=True):
            if number < len(rooms):
                rooms[number].draw(flow.sheets, flow.left + left, top)
                flow.y = min(flow.y, top - rooms[number].height)
        flow.add_notes([note for rooms in pages if number < len(rooms) for note in rooms[number].notes])


def _height(flow: Flow, rooms: list[Drawn]) -> float:
    notes = [note for room in rooms for note in room.notes]
    return max(room.height for room in rooms) + (flow.height_of_notes(notes) if notes else 0.0)


def _rooms(flow: Flow, around: float) -> tuple[float, float]:
    """What is left here for blocks in a frame, and on each page that follows."""
    flow.need(around + LEAST)
    return max(flow.room - around, LEAST), max(flow.following_room - around, LEAST)
