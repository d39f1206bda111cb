"""How much rendering may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """Passing one ends the rendering with `TooLarge`, which names it. Sizes in bytes unless they say otherwise."""

    input_bytes: int = 64 << 20
    output_bytes: int = 512 << 20
    streamed_bytes: int = 1 << 30  # of rows that follow a document, which wait on disk
    row_bytes: int = 1 << 20  # of one of them
    streams: int = 20  # that rows follow in, each a file
    blocks: int = 200_000  # after conditions and repetitions
    rows: int = 1_000_000  # of all tables together
    pages: int = 20_000
    steps: int = 50_000_000  # of all expressions together
    text_characters: int = 1 << 20  # of one text after its template
    image_pixels: int = 50_000_000  # of one image
    image_bytes: int = 16 << 20  # of one image, decoded from base64
    font_bytes: int = 16 << 20  # of one font
    asset_bytes: int = 32 << 20  # of all stored assets that a document uses
    # of a tagged document, or one in a script that the quick engine cannot set: Typst holds it as a whole
    typeset_blocks: int = 20_000
    typeset_cells: int = 20_000  # of all tables together, some 90 pages of six columns
    typeset_characters: int = 2_000_000


TYPESET_LIMITS = ("typeset_blocks", "typeset_cells", "typeset_characters")
