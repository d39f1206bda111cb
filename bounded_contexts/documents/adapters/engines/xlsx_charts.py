"""Charts of a workbook, and the hidden sheet that has their values."""

from typing import Any

from bounded_contexts.documents.adapters.engines.native_charts import native, write_values
from bounded_contexts.documents.domain.rendering.charts import Chart


class ChartValues:
    """The values of all charts of a workbook, those of one below those of another."""

    def __init__(self, workbook: Any, name: str) -> None:
        self._book, self._name = workbook, name
        self._sheet = workbook.add_worksheet(name)
        self._sheet.hide()
        self._row = 0

    def insert(self, sheet: Any, row: int, chart: Chart) -> None:
        """Show a chart on a sheet, its upper edge at a row."""
        begin, self._row = self._row, write_values(self._sheet, self._row, chart)
        made = native(self._book, chart, (self._name, begin))
        sheet.insert_chart(row, 0, made, {"description": chart.alt})
