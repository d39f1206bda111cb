"""QR codes (ISO/IEC 18004)."""

import io

import segno

from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.blocks import Image, QrCode

QUIET = 4  # fields round the code, as the standard wants
PIXELS = 8  # of a field


def matrix(code: QrCode) -> list[list[int]]:
    """Return the fields, dark ones as 1, the quiet zone round them. Raise `Unwritable` for more than a code holds."""
    return [list(row) for row in _made(code).matrix_iter(border=QUIET)]


def as_image(code: QrCode) -> Image:
    """Return the code as a PNG. Raise `Unwritable`."""
    out = io.BytesIO()
    _made(code).save(out, kind="png", scale=PIXELS, border=QUIET)
    return Image(out.getvalue(), "image/png", code.size, code.size, code.alt, code.align)


def _made(code: QrCode) -> segno.QRCode:
    try:
        return segno.make_qr(code.value, error=code.error, boost_error=False)
    except ValueError:  # too long, or empty once its fields are filled in
        raise Unwritable(
            "bad_barcode", "a QR code holds 1 to some 2,900 characters, fewer with more correction"
        ) from None
