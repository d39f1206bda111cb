"""Templates of every kind: what they need, and documents out of a template and its data."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bounded_contexts.documents.adapters.engines.rendering import check
from bounded_contexts.documents.adapters.templates.filling import Manner
from bounded_contexts.documents.domain.errors import Unreadable, Unwritable
from bounded_contexts.documents.domain.rendering.problems import Invalid
from headwater.cli import app
from tests.unit.rendered import pdf_text, rendered, source
from tests.unit.templated import filled, kind_of, letter, variables_of

RUNNER = CliRunner()
JSON: dict[str, Any] = {
    "version": "1.0",
    "meta": {"title": "Invoice {{invoice.no}}"},
    "body": [
        {"type": "paragraph", "text": ["Sum ", {"text": '{{invoice.total | currency("EUR")}}', "x-note": "{{mine}}"}]},
        {"type": "if", "test": {"path": "invoice.paid"}, "then": [{"type": "paragraph", "text": "{{note | default(none)}}"}]},
        {"type": "repeat", "each": "groups", "as": "g", "body": [
            {"type": "table", "rows": {"each": "g.lines", "as": "l"}, "caption": "{{g.name}} {{loop.index}}", "columns": [
                {"title": "{{title}}", "value": {"*": [{"path": "l.qty"}, {"path": "l.price"}]},
                 "formats": [{"when": {">": [{"path": "value"}, {"path": "most"}]}, "style": {"bold": True}}]}]}]},
        {"type": "paragraph", "text": {"sum": [{"map": {"each": "all", "as": "a", "value": {"path": "a.x"}}}]}},
    ],
}  # fmt: skip


def listed(template: bytes) -> dict[str, tuple[str, tuple[str, ...], bool]]:
    return {each.path: (each.type, each.loops, each.is_required) for each in variables_of(template)}


def test_a_json_template_says_what_it_needs() -> None:
    body = [*JSON["body"][:-1], {"type": "list", "items": ['{{day | date}} {{lines.length}} {{a["b c"]}}']}]

    assert listed(json.dumps({**JSON, "body": body}).encode()) == {
        "invoice.no": ("text", (), True),
        "invoice.total": ("number", (), True),
        "invoice.paid": ("boolean", (), True),
        "note": ("text", (), False),
        "none": ("any", (), True),
        "groups": ("list", (), True),
        "groups[].name": ("text", ("groups",), True),
        "groups[].lines": ("list", ("groups",), True),
        "groups[].lines[].qty": ("number", ("groups", "groups[].lines"), True),
        "groups[].lines[].price": ("number", ("groups", "groups[].lines"), True),
        "title": ("text", (), True),
        "most": ("any", (), True),
        "day": ("date", (), True),
        "lines": ("list", (), True),
        "a.b c": ("text", (), True),
    }


def test_a_docx_template_says_what_it_needs() -> None:
    template = letter(
        "{{#each groups as g}}",
        "{{g.name | upper}}",
        "{{#if g.size > 3 and not g.off}}",
        "{{#each g.items as g}}{{g}}{{/each}}",
        "{{/if}}{{/each}}",
        '{{name | default("x")}} {{loop}}',
    )

    assert listed(template) == {
        "groups": ("list", (), True),
        "groups[].name": ("text", ("groups",), True),
        "groups[].size": ("number", ("groups",), True),
        "groups[].off": ("boolean", ("groups",), True),
        "groups[].items": ("list", ("groups",), True),
        "groups[].items[]": ("text", ("groups", "groups[].items"), True),
        "name": ("text", (), False),
        "loop": ("text", (), True),
    }


def test_a_document_comes_of_a_template_and_its_data() -> None:
    template = json.loads(source({"type": "paragraph", "text": "Sum {{n | number(2)}}"}))
    whole = json.dumps({"template": template, "data": {"n": 1234.5}, "locale": "de-DE"}).encode()

    assert "Sum 1.234,50" in pdf_text(whole)
    assert (
        rendered(whole, "pdf")[0]
        == rendered(json.dumps({**template, "data": {"n": 1234.5}, "locale": "de-DE"}).encode(), "pdf")[0]
    )
    with pytest.raises(Invalid) as refused:
        check(json.dumps({"template": {**template, "data": {}}, "body": [], "data": {}}).encode())
    assert [each.pointer for each in refused.value.problems] == ["/body", "/template/data"]


def test_a_template_is_checked_without_data() -> None:
    assert kind_of(source({"type": "paragraph", "text": "{{x}}"})) == "json"
    with pytest.raises(Invalid):
        kind_of(source({"type": "nope"}))
    with pytest.raises(Unreadable, match="without data"):
        kind_of(source(data={}))
    with pytest.raises(Unreadable, match="one JSON object"):
        filled(letter("x"), [])


def test_the_command_fills_a_template_in(tmp_path: Path) -> None:
    (tmp_path / "t.docx").write_bytes(letter("{{n | number(1)}}"))
    (tmp_path / "d.json").write_text('{"n": 2.5}')
    words = ["render", "--template", str(tmp_path / "t.docx"), "--locale", "de", str(tmp_path / "d.json")]

    ran = RUNNER.invoke(app, [*words, str(tmp_path / "o.docx")])
    other = RUNNER.invoke(app, [*words, str(tmp_path / "o.pdf")])
    listed = RUNNER.invoke(app, ["template-variables", "--json", str(tmp_path / "t.docx")])

    assert (ran.exit_code, (tmp_path / "o.docx").read_bytes()) == (
        0,
        filled((tmp_path / "t.docx").read_bytes(), {"n": 2.5}, Manner("de"))[0],
    )
    assert (other.exit_code, "makes DOCX" in other.stderr) == (1, True)
    assert json.loads(listed.stdout) == [{"path": "n", "type": "number", "loops": [], "required": True}]
    assert RUNNER.invoke(app, ["template-variables", str(tmp_path / "d.json")]).exit_code == 1


@pytest.mark.parametrize("has_template", [True, False])
def test_the_variables_of_a_document_are_listed_with_its_data_there(tmp_path: Path, has_template: bool) -> None:
    document = {"version": "1.0", "body": [{"type": "paragraph", "text": "{{name}}"}]}
    data = {"data": {"name": "x"}}
    (tmp_path / "d.json").write_text(
        json.dumps({"template": document, **data} if has_template else {**document, **data})
    )

    listed = RUNNER.invoke(app, ["template-variables", "--json", str(tmp_path / "d.json")])

    assert json.loads(listed.stdout) == [{"path": "name", "type": "text", "loops": [], "required": True}]


def test_a_docx_template_makes_a_docx_only() -> None:
    from bounded_contexts.documents.adapters.engines.rendering import Rendering
    from bounded_contexts.documents.adapters.templates.filling import fill

    with pytest.raises(Unwritable, match="makes DOCX"):
        list(fill(letter("x"), b"{}", "pdf", Rendering()))
