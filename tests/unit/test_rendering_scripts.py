"""Scripts of the world in PDF: shaped, in order, in fonts that have them."""

from typing import Any

import pytest

from bounded_contexts.documents.domain.errors import Unwritable
from bounded_contexts.documents.domain.rendering.limits import RenderLimits
from tests.unit.rendered import pdf, rendered, source


def paragraph(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "paragraph", "text": text, "style": style}


def fonts(data: bytes) -> set[str]:
    resources: Any = pdf(data).pages[0]["/Resources"]
    return {str(font.get_object()["/BaseFont"]).partition("+")[2] for font in resources["/Font"].values()}


@pytest.mark.parametrize(
    ("text", "font"),
    [
        ("فاتورة", "IBMPlexSansArabic"),
        ("חשבונית", "NotoSansHebrew"),
        ("नमस्ते", "NotoSansDevanagari"),
        ("สวัสดี", "NotoSansThai"),
        ("你好世界", "NotoSansCJKsc"),
        ("한국어", "NotoSansCJK"),
        ("⨌", "NotoSansMath"),
        ("☑", "NotoSansSymbols"),
    ],
)
def test_a_script_is_set_in_a_font_that_has_it(text: str, font: str) -> None:
    made = source(paragraph(text))

    assert any(each.startswith(font) for each in fonts(made))
    assert rendered(made, "pdf")[1].losses.total == 0
    assert text[:2] in pdf(made).pages[0].extract_text()


def test_letters_that_the_quick_engine_sets_stay_with_it() -> None:
    assert "/StructTreeRoot" not in pdf(source(paragraph("Grüße Ελληνικά Русский"))).trailer["/Root"]  # type: ignore[operator]


def test_chinese_characters_are_those_of_the_documents_language() -> None:
    def font(language: str) -> set[str]:
        return {each.split("-")[0] for each in fonts(source(paragraph("直"), meta={"language": language}))}

    assert [font(each) for each in ("ja", "ko", "zh-TW", "zh-Hant-HK", "de")] == [
        {"NotoSansCJKjp"},
        {"NotoSansCJKkr"},
        {"NotoSansCJKtc"},
        {"NotoSansCJKtc"},
        {"NotoSansCJKsc"},
    ]


def test_chinese_breaks_between_characters_and_not_before_a_comma() -> None:
    text = pdf(source(paragraph("你好世界，" * 40))).pages[0].extract_text().split("\n")

    assert len(text) > 2
    assert not any(line.startswith("，") for line in text)


def test_columns_run_from_right_to_left_in_documents_that_do() -> None:
    def places(language: str) -> list[float]:
        found: dict[str, float] = {}

        def visit(text: str, _cm: Any, tm: list[float], *_: Any) -> None:
            for each in ("1", "2"):
                if each in text:
                    found[each] = tm[4]

        table = {"type": "table", "columns": [{"width": "1fr"}, {"width": "1fr"}], "rows": [["1", "2"], ["א", "ב"]]}
        pdf(source(table, meta={"language": language})).pages[0].extract_text(visitor_text=visit)
        return [found["1"], found["2"]]

    assert places("en") == sorted(places("en"))
    assert places("he") == sorted(places("he"), reverse=True)


def test_a_character_that_no_font_has_is_told_and_seen() -> None:
    _, rendering = rendered(source(paragraph("שלום \ue000")), "pdf")

    assert [(each.code, each.detail) for each in rendering.losses.first] == [("missing_glyph", "no font has U+E000")]
    with pytest.raises(Unwritable) as caught:
        rendered(source(paragraph("שלום \ue000"), strictness="error"), "pdf")
    assert caught.value.code == "missing_glyph"
    assert "?" in pdf(source(paragraph("שלום \ue000"))).pages[0].extract_text()


def test_what_is_too_long_for_typst_stays_with_the_quick_engine_and_tells() -> None:
    made, rendering = rendered(source(paragraph("שלום"), paragraph("a")), "pdf", RenderLimits(typeset_blocks=1))

    assert dict(rendering.losses.counts) == {"missing_glyph": 1}
    assert b"StructTreeRoot" not in made


def test_losses_are_told_once_where_both_engines_have_seen_them() -> None:
    made = source(paragraph("{{none}} שלום \ue000"))

    assert dict(rendered(made, "pdf")[1].losses.counts) == {"missing_value": 1, "missing_glyph": 1}
