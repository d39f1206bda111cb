"""How much a conversion may take. Sizes in bytes unless they say otherwise."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Passing one ends the conversion with `TooLarge`, which names it."""

    input_bytes: int = 2 << 30
    output_bytes: int = 4 << 30
    depth: int = 128  # of lists and maps in each other
    columns: int = 16_384
    rows: int = 50_000_000
    cell_characters: int = 1 << 20  # of one text
    item_bytes: int = 64 << 20  # of one record, or of a document that cannot be streamed
    nodes: int = 3_000_000  # of YAML that is read as a whole: a parser's tree takes 200 bytes for each
    number_digits: int = 4_000
    alias_nodes: int = (
        1_000_000  # that YAML aliases may expand to, merged or linked cells of a sheet, and Avro's values of no bytes
    )
    sheets: int = 1_000
    inflated_bytes: int = 4 << 30  # of a packed workbook
    shared_bytes: int = 256 << 20  # of the texts that the sheets of a workbook share, inflated
    inflation_ratio: int = 200
