"""Blocks that hold others, on pages and in rooms of their own."""

from bounded_contexts.documents.adapters.engines.pdf_flow import Flow
from bounded_contexts.documents.adapters.engines.pdf_tables import TableLayout
from bounded_contexts.documents.domain.rendering.blocks import Table


def place(flow: Flow, block: Table) -> None:
    """Place a block that holds others."""
    TableLayout(flow, block).draw()
