"""Images and links at markers of DOCX templates, as an independent reader sees them."""

import io
import zipfile
from typing import Any

import docx
import pytest
from docx.opc.constants import RELATIONSHIP_TYPE

from bounded_contexts.documents.adapters.templates.filling import Manner, inspected
from bounded_contexts.documents.domain.errors import Unreadable, Unwritable
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from tests.unit.rendered import png, uri
from tests.unit.templated import book, filled, letter, saved

PICTURE = uri(png(40, 20))
OTHER = uri(png(4, 8, b"\x10\x20\x30"))


def opened(template: bytes, data: Any) -> Any:
    return docx.Document(io.BytesIO(filled(template, data)[0]))


def sizes(document: Any) -> list[tuple[float, float]]:
    return [(round(each.width.mm, 1), round(each.height.mm, 1)) for each in document.inline_shapes]


def test_images_stand_at_their_markers_in_their_sizes() -> None:
    template = letter(
        'Logo: {{#image logo 30mm "Our <logo>"}} and', ["{{#each", " pics as p}}{{#image p.file}}{{/each}}"]
    )
    made = opened(template, {"logo": PICTURE, "pics": [{"file": PICTURE}, {"file": OTHER}, {"file": PICTURE}]})
    images = {part.partname for part in made.part.package.iter_parts() if part.content_type == "image/png"}

    assert sizes(made) == [(30.0, 15.0), (10.6, 5.3), (1.1, 2.1), (10.6, 5.3)]
    assert len(images) == 2  # the same one is in the package once
    assert made.paragraphs[0].text == "Logo:  and"
    names = [each._inline.docPr for each in made.inline_shapes]
    assert (names[0].get("descr"), len({each.id for each in names})) == ("Our <logo>", 4)


def test_images_of_headers_and_of_other_kinds_are_parts_too() -> None:
    template = docx.Document()
    template.sections[0].header.paragraphs[0].text = "{{#image logo}}"
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20"/></svg>'
    made = opened(saved(template), {"logo": uri(svg, "svg+xml")})
    header = made.sections[0].header.part

    assert [
        each.target_part.content_type for each in header.rels.values() if each.reltype == RELATIONSHIP_TYPE.IMAGE
    ] == ["image/png"]


def test_links_lead_where_the_data_says_in_the_format_of_their_marker() -> None:
    template = letter(["See ", "{{#link page.url as page.title | upper}}", " or {{#link page.url}}."])
    made = opened(template, {"page": {"url": "https://example.org/a?b=1&c=2", "title": "A & B"}})
    paragraph = made.paragraphs[0]

    assert paragraph.text == "See A & B or https://example.org/a?b=1&c=2."
    assert [(each.text, each.address) for each in paragraph.hyperlinks] == [
        ("A & B", "https://example.org/a?b=1&c=2"),
        ("https://example.org/a?b=1&c=2", "https://example.org/a?b=1&c=2"),
    ]
    assert paragraph.hyperlinks[0].runs[0].bold is True
    assert [each.is_external for each in made.part.rels.values() if "hyperlink" in each.reltype] == [True]


def test_what_may_not_be_linked_is_a_text_and_told() -> None:
    template = letter('{{#link url as "here"}}')
    for url in ("javascript:alert(1)", "file:///etc/passwd", "#top", 'https://a"b', None):
        data, rendering = filled(template, {"url": url})

        assert docx.Document(io.BytesIO(data)).paragraphs[0].text == "here"
        assert "bad_link" in rendering.losses.counts
    with pytest.raises(Unwritable, match="bad_link"):
        filled(template, {"url": "javascript:alert(1)"}, Manner(strictness="error"))


def test_what_is_no_image_is_refused_and_what_is_missing_is_told() -> None:
    template = letter("a{{#image logo}}b")
    for wrong in ("https://example.org/a.png", "data:image/png;base64,AAAA", PICTURE[:-40], 17):
        with pytest.raises(Unwritable, match="bad_image"):
            filled(template, {"logo": wrong})
    data, rendering = filled(template, {"logo": None})

    assert docx.Document(io.BytesIO(data)).paragraphs[0].text == "ab"
    assert "missing_value" in rendering.losses.counts


def test_the_same_data_gives_the_same_bytes_and_other_parts_stay_as_they_are() -> None:
    template = letter("{{#image logo}}")
    first, again = [filled(template, {"logo": PICTURE})[0] for _ in range(2)]

    assert first == again
    with zipfile.ZipFile(io.BytesIO(template)) as before, zipfile.ZipFile(io.BytesIO(first)) as after:
        assert min(set(after.namelist()) - set(before.namelist())).startswith("word/media/hw-")
        assert after.read("word/styles.xml") == before.read("word/styles.xml")
        assert len(after.namelist()) == len(set(after.namelist()))


def test_they_are_among_what_a_template_needs() -> None:
    _, found = inspected(letter("{{#image a.logo 2cm}} {{#link b.url as c.title}}"), RenderLimits())

    assert [each.path for each in found] == ["a.logo", "b.url", "c.title"]


@pytest.mark.parametrize(
    "text", ["{{#image}}", "{{#image a | nothing}}", "{{#link}}", "{{#link a as}}", "{{#image a 3px}}"]
)
def test_markers_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="bad_template"):
        inspected(letter(text), RenderLimits())


def test_cells_of_workbooks_have_none() -> None:
    with pytest.raises(Unreadable, match="DOCX"):
        inspected(saved(book(S=[["{{#image a}}"]])), RenderLimits())
