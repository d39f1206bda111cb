"""DOCX templates, read back by python-docx."""

import io

import docx
import pytest
from lxml import etree

from bounded_contexts.documents.adapters.templates.filling import Manner
from bounded_contexts.documents.domain.errors import TooLarge, Unreadable, Unwritable
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from tests.unit.templated import W, cells, filled, letter, parts_of, related, repacked, saved, texts, with_body, word_of

LINES = {"lines": [{"name": "Pump", "qty": 2}, {"name": "Nut", "qty": 30}]}
BOX = (
    f'<w:p {W}><w:r><w:pict><v:shape xmlns:v="urn:schemas-microsoft-com:vml"><v:textbox><w:txbxContent>'
    "<w:p><w:r><w:t>{{#each lines as l}}</w:t></w:r></w:p><w:p><w:r><w:t>in {{l.name}}</w:t></w:r></w:p>"
    "<w:p><w:r><w:t>{{/each}}</w:t></w:r></w:p></w:txbxContent></v:textbox></v:shape></w:pict></w:r></w:p>"
)


def test_a_marker_that_is_cut_into_runs_has_the_format_of_the_first() -> None:
    made = word_of(letter(["Dear ", "{{per", "son.na", "me", " | upper}}", "", ", "]), {"person": {"name": "Ann"}})

    runs = [(run.text, run.bold) for run in made.paragraphs[0].runs if run.text]
    assert runs == [("Dear ", None), ("ANN", True), (", ", None)]


def test_typed_quotes_and_spaces_mean_what_they_are_typed_for() -> None:
    made = word_of(letter("{{total\u00a0| currency(“EUR”)}}", r"\{{kept}}"), {"total": {"$decimal": "1234.5"}})

    assert texts(made) == ["€1,234.50", "{{kept}}"]


def test_paragraphs_rows_and_columns_are_repeated() -> None:
    table = [["Item", "Qty"], ["{{#each lines as l}}{{loop.index}} {{l.name}}", "{{l.qty}}{{/each}}"], ["End", ""]]
    months = [["", "{{#each months as m across}}{{m}}{{/each}}"], ["x", "{{#each months as m across}}y{{/each}}"]]
    first = letter("{{#each lines as l}}", "Line {{l.name}}", "of {{l.qty}}", "{{/each}}", "end", table=table)

    made = word_of(first, LINES)
    wide = word_of(letter(table=months), {"months": ["Jan", "Feb", "Mar"]})

    assert texts(made) == ["Line Pump", "of 2", "Line Nut", "of 30", "end"]
    assert cells(made.tables[0]) == [["Item", "Qty"], ["1 Pump", "2"], ["2 Nut", "30"], ["End", ""]]
    assert cells(wide.tables[0]) == [["", "Jan", "Feb", "Mar"], ["x", "y", "y", "y"]]
    assert len(wide.tables[0].columns) == 4


def test_loops_and_conditions_stand_in_each_other_and_in_a_line() -> None:
    template = letter(
        "{{#each groups as g}}{{#if g.shown}}",
        "{{g.name}}: {{#each g.items as i}}{{i}}{{#if not loop.last}}, {{/if}}{{/each}}",
        "{{else}}",
        "no {{g.name}}",
        "{{/if}}{{/each}}",
        '{{#if total >= 10 and total < 20 or name == "x"}}some{{else}}other{{/if}}',
    )
    groups = [{"name": "a", "shown": True, "items": ["1", "2"]}, {"name": "b", "shown": False, "items": []}]

    assert texts(word_of(template, {"groups": groups, "total": 10, "name": ""})) == ["a: 1, 2", "no b", "some"]
    assert texts(word_of(template, {"groups": [], "total": 20, "name": "y"})) == ["other"]


def test_what_nothing_comes_of_is_still_a_file_of_the_format() -> None:
    template = letter(table=[["{{#each lines as l}}{{l.name}}", "{{l.qty}}{{/each}}"]])
    cell = docx.Document()
    inside = cell.add_table(1, 1).cell(0, 0)
    inside.text = "{{#each lines as l}}"
    inside.add_paragraph("{{l.name}}")
    inside.add_paragraph("{{/each}}")

    assert cells(word_of(template, {"lines": []}).tables[0]) == [[""]]
    assert [len(word_of(saved(cell), {"lines": n * ["x"]}).tables[0].cell(0, 0).paragraphs) for n in (0, 3)] == [1, 3]


def test_headers_footers_text_boxes_and_links_are_filled_in() -> None:
    document = docx.Document(io.BytesIO(with_body(letter("body"), BOX)))
    document.sections[0].header.paragraphs[0].text = "Head {{lines[0].name}}"
    document.sections[0].footer.paragraphs[0].text = "{{#each lines as l}}{{l.qty}} {{/each}}"

    made = word_of(saved(document), LINES)

    assert made.sections[0].header.paragraphs[0].text == "Head Pump"
    assert made.sections[0].footer.paragraphs[0].text == "2 30 "
    assert list(made.element.xpath("//w:txbxContent/w:p/w:r/w:t/text()")) == ["in ", "Pump", "in ", "Nut"]


def test_footnotes_are_those_of_what_refers_to_them() -> None:
    mark = '<w:r><w:footnoteReference w:id="2"/></w:r>'
    body = f"<w:p><w:r><w:t>{{{{#each lines as l}}}}{{{{l.name}}}}</w:t></w:r>{mark}<w:r><w:t>{{{{/each}}}}</w:t></w:r></w:p>"
    notes = (
        f'<w:footnotes {W}><w:footnote w:type="separator" w:id="0"><w:p/></w:footnote>'
        '<w:footnote w:id="2"><w:p><w:r><w:t>Quantity {{l.qty}}</w:t></w:r></w:p></w:footnote></w:footnotes>'
    )
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
    template = repacked(
        with_body(letter(), body),
        {
            "word/footnotes.xml": notes,
            "[Content_Types].xml": (
                "</Types>",
                f'<Override PartName="/word/footnotes.xml" ContentType="{kind}"/></Types>',
            ),
            **related("footnotes", "footnotes.xml"),
        },
    )

    parts = parts_of(filled(template, LINES)[0])

    found = etree.fromstring(parts["word/footnotes.xml"])
    assert found.xpath("//w:footnote/@w:id", namespaces=found.nsmap) == ["0", "1", "2"]
    assert found.xpath("//w:t/text()", namespaces=found.nsmap) == ["Quantity ", "2", "Quantity ", "30"]
    assert etree.fromstring(parts["word/document.xml"]).xpath(
        "//w:footnoteReference/@w:id", namespaces=found.nsmap
    ) == ["1", "2"]


def test_copies_are_told_apart() -> None:
    drawing = (
        '<w:p><w:bookmarkStart w:id="1" w:name="b"/><w:bookmarkEnd w:id="1"/><w:r><w:drawing><wp:inline '
        'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"><wp:docPr id="7" name="x"/>'
        "</wp:inline></w:drawing></w:r></w:p>"
    )
    begin, end = (f"<w:p><w:r><w:t>{{{{{text}}}}}</w:t></w:r></w:p>" for text in ("#each lines as l", "/each"))

    made = word_of(with_body(letter(), begin + drawing + end), LINES)

    assert len(set(made.element.xpath("//wp:docPr/@id"))) == 2
    assert made.element.xpath("//w:bookmarkStart/@w:name") == ["b"]


def test_data_is_never_read_as_markers_or_markup() -> None:
    evil = "{{lines}} {{#each lines as l}} </w:t><w:p/> & 😀 a\nb\tc \x00"

    made = word_of(letter("{{a}}{{b}}"), {"a": evil, "b": "{{a}}"})

    assert texts(made) == [evil.replace("\x00", "") + "{{a}}"]


def test_parts_without_markers_stay_byte_by_byte_and_the_same_gives_the_same() -> None:
    template = letter("{{name}}", table=[["plain"]])

    first, second = filled(template, {"name": "x"})[0], filled(template, {"name": "x"})[0]

    before, after = parts_of(template), parts_of(first)
    assert first == second
    assert list(before) == list(after)
    assert [name for name in before if before[name] != after[name]] == ["word/document.xml"]


def test_what_is_missing_is_told_with_its_place_or_refused() -> None:
    template = letter("x", '{{nothing}}{{#each none as n}}{{/each}}{{number | currency("EUR")}}')
    _, rendering = filled(template, {"number": "x"})

    assert dict(rendering.losses.counts) == {"missing_value": 2, "not_a_number": 1}
    assert rendering.losses.first[0].pointer == "word/document.xml, paragraph 2"
    with pytest.raises(Unwritable, match="missing_value"):
        filled(template, {}, Manner(strictness="error"))


def test_numbers_and_times_are_those_of_the_locale() -> None:
    template = letter('{{n | number(2)}} {{t | date("short")}}')
    data = {"n": 1234.5, "t": {"$datetime": "2026-01-31T23:30:00Z"}}

    german = docx.Document(io.BytesIO(filled(template, data, Manner("de-DE", "Europe/Berlin"))[0]))

    assert texts(german) == ["1.234,50 01.02.26, 00:30"]
    with pytest.raises(Unreadable, match="no locale"):
        filled(template, data, Manner("xx-none"))


def test_much_is_refused() -> None:
    nested = "{{#each n as a}}{{#each n as b}}{{#each n as c}}{{#each n as d}}x" + 4 * "{{/each}}"
    with pytest.raises(TooLarge):
        filled(letter(nested), {"n": list(range(20))}, limits=RenderLimits(rows=1_000))


@pytest.mark.parametrize(
    ("paragraphs", "says"),
    [
        (["{{#each lines as l}}"], "has no end"),
        (["{{/if}}"], "ends nothing"),
        (["{{#if a}}{{/each}}"], "ends nothing"),
        (["{{else}}"], "ends nothing"),
        (["{{a b}}"], "behind a value"),
        (["{{a ; b}}"], "neither a path"),
        (["{{a | nope}}"], "is no function"),
        (["{{#loop x}}"], "there are #each"),
        (["{{#if a == b == c}}"], "two values"),
        (["{{open"], "without its"),
        (["text {{#each lines as l}}", "{{/each}}"], "whole paragraphs"),
        (["{{#each lines as l}}", "{{/each}} text"], "whole paragraphs"),
        (["{{#each a as x across}}x{{/each}}"], "it stands in cells"),
        (["{{#each a as loop}}{{/each}}"], "loop is what counts"),
        (["{{#if a}}" * 33 + "{{/if}}" * 33], "more than 32"),
    ],
)
def test_what_is_wrong_with_a_template_is_said_with_its_place(paragraphs: list[str], says: str) -> None:
    with pytest.raises(Unreadable, match=says) as refused:
        filled(letter("first", *paragraphs), {})

    assert refused.value.code == "bad_template"
    assert "paragraph" in refused.value.detail


@pytest.mark.parametrize(
    "rows",
    [
        [["{{#each a as x}}"], ["{{/each}}{{#each b as y}}"], ["{{/each}}"]],
        [["{{#if a}}"], ["{{#each a as x}}"], ["{{/each}}{{else}}"], ["{{/if}}"]],
    ],
)
def test_halves_of_rows_are_not_repeated(rows: list[list[str]]) -> None:
    with pytest.raises(Unreadable, match="another one ends"):
        filled(letter(table=rows), {})
