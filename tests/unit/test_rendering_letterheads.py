"""Letterheads: pages of a PDF below those of a document, and what no letterhead may be."""

import io
from collections.abc import Callable
from typing import Any

import pypdf
import pypdfium2
import pytest
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, NameObject, NumberObject, TextStringObject
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from bounded_contexts.documents.adapters.engines import pdf_pages
from bounded_contexts.documents.adapters.engines.examining import examined
from bounded_contexts.documents.adapters.engines.rendering import Rendering, check, render
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.rendering.fidelity import Target
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from bounded_contexts.documents.domain.rendering.problems import Invalid
from tests.unit.rendered import png, source

LIMITS = RenderLimits()
BREAK = {"type": "pageBreak"}
BODY = [{"type": "paragraph", "text": "one"}, BREAK, {"type": "paragraph", "text": "two"}, BREAK]
BODY.append({"type": "paragraph", "text": "three"})
TAGGED = {"pdf": {"tagged": True}}
A4 = (595.28, 841.89)


def paper(*words: str, size: tuple[float, float] = A4) -> bytes:
    """Return a PDF of a page for each word, with a red square in the upper left corner and an image."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=size, invariant=1)
    for word in words or ("FIRST", "OTHER"):
        canvas.setFillColorRGB(1, 0, 0)
        canvas.rect(0, size[1] - 50, 50, 50, stroke=0, fill=1)
        canvas.setFillColorRGB(0, 0, 0)
        canvas.drawString(60, size[1] - 40, word)
        canvas.drawImage(ImageReader(io.BytesIO(png(4, 4))), 100, 20, 20, 20)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def changed(change: Callable[[pypdf.PdfWriter], object], data: bytes | None = None) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data or paper("PAPER")))
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def made(data: bytes, target: Target = "pdf", **more: Any) -> tuple[bytes, Rendering]:
    rendering = Rendering(assets={"paper": data})
    said = {"assets": {"paper": {"stored": "paper"}}, "letterhead": {"asset": "paper"}} | more
    return b"".join(render(source(*BODY, **said), target, rendering)), rendering


def texts(data: bytes) -> list[list[str]]:
    return [sorted(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(data)).pages]


def pixel(data: bytes, x: float, y: float, page: int = 0) -> Any:
    """Return the colour of a place, in points from the upper left corner."""
    return pypdfium2.PdfDocument(data)[page].render().to_pil().convert("RGB").getpixel((int(x), int(y)))


@pytest.mark.parametrize("output", [{}, TAGGED])
@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ("all", [["FIRST", "one"], ["OTHER", "two"], ["OTHER", "three"]]),
        ("first", [["FIRST", "one"], ["two"], ["three"]]),
        ("other", [["one"], ["OTHER", "two"], ["OTHER", "three"]]),
    ],
)
def test_the_first_page_is_below_the_first_and_the_second_below_the_others(
    output: dict[str, Any], pages: str, words: list[list[str]]
) -> None:
    data, rendering = made(paper(), letterhead={"asset": "paper", "pages": pages}, output=output)

    assert texts(data) == words
    assert pixel(data, 25, 25, 1) == ((255, 0, 0) if "OTHER" in words[1] else (255, 255, 255))
    assert rendering.losses.total == 0
    assert made(paper(), letterhead={"asset": "paper", "pages": pages}, output=output)[0] == data


def test_a_letterhead_is_in_the_file_once_and_below_what_is_written() -> None:
    data, _ = made(paper("PAPER"), background={"color": "#00FF00"})

    forms = {
        str(each)
        for page in pypdf.PdfReader(io.BytesIO(data)).pages
        for each in page["/Resources"]["/XObject"]  # type: ignore[index]
    }
    assert texts(data) == [["PAPER", "one"], ["PAPER", "two"], ["PAPER", "three"]]
    assert data.count(b"/Subtype /Image") == 1
    assert len([each for each in forms if "letterhead" in each or "FormXob" in each]) >= 1
    assert pixel(data, 25, 25) == (255, 0, 0)
    assert pixel(data, 300, 700) == (0, 255, 0)


@pytest.mark.parametrize("output", [{}, TAGGED])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_page_is_below_as_people_see_it(output: dict[str, Any], turn: int) -> None:
    def turned(writer: pypdf.PdfWriter) -> None:
        writer.pages[0].rotate(turn)

    given = changed(turned, paper("PAPER", size=(400.0, 600.0)))
    wide = {"width": 600, "height": 400, "margins": dict.fromkeys(("top", "right", "bottom", "left"), 100)}
    page = {**wide, "width": 400, "height": 600} if turn in (0, 180) else wide
    data, _ = made(given, output=output, page=page)

    shown, wanted = [pypdfium2.PdfDocument(each)[0].render().to_pil().convert("RGB") for each in (data, given)]
    assert shown.size == wanted.size
    places = [(x, y) for x in (10, shown.width - 10) for y in (10, shown.height - 10)]
    assert [shown.getpixel(each) for each in places] == [wanted.getpixel(each) for each in places]
    assert {shown.getpixel(each) for each in places} == {(255, 0, 0), (255, 255, 255)}


@pytest.mark.parametrize("output", [{}, TAGGED])
def test_a_page_of_another_size_is_made_as_large_as_the_paper(output: dict[str, Any]) -> None:
    small = paper("SMALL", size=(A4[0] / 2, A4[1] / 2))
    data, _ = made(small, output=output)

    assert pixel(data, 90, 90) == (255, 0, 0)
    assert pixel(data, 110, 110) == (255, 255, 255)


def test_a_page_is_cut_where_it_is_cropped() -> None:
    def crop(writer: pypdf.PdfWriter) -> None:
        writer.pages[0].cropbox.lower_left = (25, 0)

    data, _ = made(changed(crop))

    assert pixel(data, 20, 20) == (255, 0, 0)
    assert pixel(data, 30, 20) == (255, 255, 255)


def test_a_letterhead_has_a_condition_and_other_targets_tell_of_it() -> None:
    without = made(paper(), letterhead={"asset": "paper", "when": False})[0]

    assert texts(without) == [["one"], ["two"], ["three"]]
    for target in ("docx", "xlsx"):
        _, told = made(paper(), target)
        assert [(each.code, each.pointer) for each in told.losses.to_be_told if "letterhead" in each.detail] == [
            ("dropped", "/letterhead")
        ]


def test_what_is_wrong_with_a_letterhead_is_told_with_its_place() -> None:
    def problems(**more: Any) -> list[tuple[str, str]]:
        with pytest.raises(Invalid) as error:
            check(source(**{"assets": {"paper": {"stored": "paper"}}} | more), LIMITS, {"paper": paper()})
        return [(each.pointer, each.code) for each in error.value.problems]

    data = {"mediaType": "image/png", "data": ""}
    assert problems(letterhead={"asset": "none"}) == [("/letterhead/asset", "unknown_asset")]
    assert ("/letterhead/asset", "not_allowed") in problems(letterhead={"asset": "paper"}, assets={"paper": data})
    assert problems(letterhead={"asset": "paper", "pages": "last"}) == [("/letterhead/pages", "not_allowed")]
    assert ("/letterhead", "not_in_standard") in problems(
        letterhead={"asset": "paper"}, output={"pdf": {"standard": ["a-2b"]}}, meta={"created": "2026-11-22T10:00:00Z"}
    )
    with pytest.raises(Unwritable, match="a letterhead is a PDF"):
        made(png(1, 1))


def test_a_pdf_is_looked_through() -> None:
    assert examined("application/pdf", paper(), LIMITS) == {"pages": 2, "width": 595, "height": 842}


def script(writer: pypdf.PdfWriter) -> None:
    said = {NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject("app.alert(1)")}
    writer.root_object[NameObject("/OpenAction")] = DictionaryObject(said)


def attachment(writer: pypdf.PdfWriter) -> None:
    writer.add_attachment("x.txt", b"x")


def launch(writer: pypdf.PdfWriter) -> None:
    action = DictionaryObject({NameObject("/S"): NameObject("/Launch"), NameObject("/F"): TextStringObject("/bin/sh")})
    writer.root_object[NameObject("/OpenAction")] = action


def external(writer: pypdf.PdfWriter) -> None:
    stream = DecodedStreamObject()
    stream.set_data(b"")
    stream[NameObject("/F")] = TextStringObject("/etc/passwd")
    writer.pages[0][NameObject("/Contents")] = writer._add_object(stream)


@pytest.mark.parametrize("change", [script, attachment, launch, external])
def test_a_pdf_that_runs_or_holds_something_is_refused(change: Callable[[pypdf.PdfWriter], object]) -> None:
    with pytest.raises(Unwritable) as error:
        examined("application/pdf", changed(change), LIMITS)

    assert error.value.code == "not_allowed_part"


def test_a_pdf_that_is_encrypted_is_refused() -> None:
    with pytest.raises(Unreadable) as error:
        examined("application/pdf", changed(lambda writer: writer.encrypt("", "owner")), LIMITS)

    assert error.value.code == "encrypted"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no",
        b"%PDF-1.7",
        paper()[:300],
        b"%PDF-1.7\n" + b"<<" * 100_000,
        b"%PDF-1.7\n" + b"[" * 100_000,
        changed(lambda writer: writer.pages[0].scale_by(0.01)),
        changed(lambda writer: writer.pages[0].scale_by(100)),
    ],
    ids=range(8),
)
def test_what_is_no_pdf_is_not_stored(data: bytes) -> None:
    with pytest.raises(Unwritable) as error:
        examined("application/pdf", data, LIMITS)

    assert error.value.code == "bad_pdf"


def test_a_pdf_has_two_pages_and_so_much_in_them() -> None:
    with pytest.raises(TooLarge, match="letterhead pages"):
        examined("application/pdf", paper("a", "b", "c"), LIMITS)

    def fill(writer: pypdf.PdfWriter) -> None:
        stream = DecodedStreamObject()
        stream.set_data(b"q Q " * (pdf_pages.OPERATORS // 4 + 1))
        writer.pages[0][NameObject("/Contents")] = writer._add_object(stream.flate_encode())

    bomb = changed(fill)
    assert len(bomb) < 100_000
    with pytest.raises(TooLarge, match="page operators"):
        examined("application/pdf", bomb, LIMITS)


def test_a_pdf_of_too_many_objects_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_pages, "OBJECTS", 5)

    with pytest.raises(TooLarge, match="pdf objects"):
        examined("application/pdf", paper("many"), LIMITS)


def test_resources_that_lead_to_themselves_are_taken_once() -> None:
    def circle(writer: pypdf.PdfWriter) -> None:
        resources: Any = writer.pages[0]["/Resources"]
        here: Any = writer._add_object(resources.get_object())
        form = DecodedStreamObject()
        form.set_data(b"")
        form.update(
            {
                NameObject("/Type"): NameObject("/XObject"),
                NameObject("/Subtype"): NameObject("/Form"),
                NameObject("/BBox"): ArrayObject([NumberObject(0)] * 4),
                NameObject("/Resources"): here,
            }
        )
        here.get_object()["/XObject"][NameObject("/Own")] = writer._add_object(form)
        writer.pages[0][NameObject("/Resources")] = here

    data, _ = made(changed(circle))

    assert texts(data)[0] == ["PAPER", "one"]
