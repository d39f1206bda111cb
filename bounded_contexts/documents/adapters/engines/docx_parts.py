"""The parts of a WordprocessingML package (ECMA-376) that do not grow with the document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from xml.sax.saxutils import quoteattr

from bounded_contexts.documents.adapters.engines.fonts import family_name
from bounded_contexts.documents.domain.rendering.blocks import Image
from bounded_contexts.documents.domain.rendering.fonts import Font
from bounded_contexts.documents.domain.rendering.numbering import FORMATS, NumberFormat

HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
WORD: Final = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
DRAWING: Final = "http://schemas.openxmlformats.org/drawingml/2006"
NAMESPACES: Final = (
    f'xmlns:w="{WORD}" xmlns:r="{OFFICE}" xmlns:wp="{DRAWING}/wordprocessingDrawing" xmlns:a="{DRAWING}/main" '
    f'xmlns:pic="{DRAWING}/picture"'
)
_SVG: Final = "http://schemas.microsoft.com/office/drawing/2016/SVG/main"
_SVG_URI: Final = "{96DAC541-7B7A-43D3-8B79-37D633B846F1}"
_TYPE: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_SIZES: Final = (40, 32, 26, 23, 21, 20)  # half points of headings
LEVELS: Final = 9


@dataclass(slots=True)
class Relations:
    """What a part refers to: links by address, other parts by name. Ids count up, so they follow from the document."""

    media: dict[str, bytes]
    rows: dict[tuple[str, str, bool], str] = field(default_factory=dict)

    def to(self, kind: str, target: str, *, external: bool = False) -> str:
        """Return the id of a relationship."""
        return self.rows.setdefault((kind, target, external), f"rId{len(self.rows) + 1}")

    def image(self, image: Image) -> str:
        """Return the id of an image, which is in the package once."""
        name = f"media/{sha256(image.data).hexdigest()[:24]}.{image.media_type.removeprefix('image/')}"
        self.media[name] = image.data
        return self.to("image", name)

    def blip(self, image: Image) -> str:
        """Return what shows an image: the SVG that it was made of to programs that know how (since Word 2016)."""
        key = self.image(image)
        if image.vector is None:
            return f'<a:blip r:embed="{key}"/>'
        name = f"media/{sha256(image.vector.svg).hexdigest()[:24]}.svg"
        self.media[name] = image.vector.svg
        drawn = f'<asvg:svgBlip xmlns:asvg="{_SVG}" r:embed="{self.to("image", name)}"/>'
        return f'<a:blip r:embed="{key}"><a:extLst><a:ext uri="{_SVG_URI}">{drawn}</a:ext></a:extLst></a:blip>'

    @property
    def xml(self) -> str:
        """Return the part that lists them."""
        rows = [
            f'<Relationship Id="{key}" Type="{OFFICE}/{kind}" Target={quoteattr(target)}'
            + (' TargetMode="External"/>' if external else "/>")
            for (kind, target, external), key in self.rows.items()
        ]
        return f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships">{"".join(rows)}</Relationships>'


def content_types(parts: Mapping[str, str], more: str) -> str:
    """Return the list of parts; `parts` are headers and footers by name, `more` says of others what they are."""
    kinds = {
        "document": "document.main",
        "styles": "styles",
        "numbering": "numbering",
        "settings": "settings",
        **parts,
    }
    rows = [f'<Override PartName="/word/{name}.xml" ContentType="{_TYPE}.{kind}+xml"/>' for name, kind in kinds.items()]
    return (
        f'{HEAD}<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="png" ContentType="image/png"/><Default Extension="jpeg" ContentType="image/jpeg"/>'
        '<Default Extension="svg" ContentType="image/svg+xml"/>'
        f"{more}{''.join(rows)}</Types>"
    )


def styles(language: str) -> str:
    """Return the styles that paragraphs name; what a document's own styles say stands at the paragraphs."""
    fonts = fonts_of("sans")
    headings = "".join(
        [
            f'<w:style w:type="paragraph" w:styleId="Heading{level}"><w:name w:val="heading {level}"/>'
            f'<w:basedOn w:val="Normal"/><w:next w:val="Normal"/><w:qFormat/><w:pPr><w:keepNext/>'
            f'<w:outlineLvl w:val="{level - 1}"/></w:pPr><w:rPr><w:b/><w:sz w:val="{size}"/></w:rPr></w:style>'
            for level, size in enumerate(_SIZES, 1)
        ]
    )
    others = "".join(
        [
            f'<w:style w:type="paragraph" w:styleId="{name}"><w:name w:val="{said}"/><w:basedOn w:val="Normal"/>'
            "<w:qFormat/></w:style>"
            for name, said in (
                ("Quote", "Quote"),
                ("Code", "Code"),
                ("Caption", "caption"),
                ("FigureCaption", "Figure Caption"),
                ("ListParagraph", "List Paragraph"),
                ("Header", "header"),
                ("Footer", "footer"),
            )
        ]
    )
    return (
        f'{HEAD}<w:styles xmlns:w="{WORD}"><w:docDefaults><w:rPrDefault><w:rPr>{fonts}<w:sz w:val="20"/>'
        f"<w:lang w:val={quoteattr(language)}/></w:rPr></w:rPrDefault>"
        "<w:pPrDefault><w:pPr><w:widowControl/></w:pPr></w:pPrDefault></w:docDefaults>"
        '<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/><w:qFormat/></w:style>'
        '<w:style w:type="table" w:default="1" w:styleId="TableNormal"><w:name w:val="Normal Table"/></w:style>'
        f"{headings}{others}</w:styles>"
    )


def fonts_of(font: Font) -> str:
    """Return the run property that names a font."""
    name = family_name(font)
    return f'<w:rFonts w:ascii="{name}" w:hAnsi="{name}" w:cs="{name}" w:eastAsia="{name}"/>'


def numbering(lists: Mapping[int, tuple[NumberFormat | None, int, int]]) -> str:
    """Return the numberings; `lists` are the format, None for bullets, level and first number, by the number of the list."""
    kinds: tuple[NumberFormat | None, ...] = (None, *FORMATS)
    abstract = "".join([_abstract(number, form) for number, form in enumerate(kinds, 1)])
    rows = "".join(
        [
            f'<w:num w:numId="{number}"><w:abstractNumId w:val="{kinds.index(form) + 1}"/>'
            f'<w:lvlOverride w:ilvl="{level}"><w:startOverride w:val="{first}"/></w:lvlOverride></w:num>'
            for number, (form, level, first) in lists.items()
        ]
    )
    return f'{HEAD}<w:numbering xmlns:w="{WORD}">{abstract}{rows}</w:numbering>'


def _abstract(number: int, form: NumberFormat | None) -> str:
    levels = "".join(
        [_level(level, form or "bullet", f"%{level + 1}." if form else "•–◦"[level % 3]) for level in range(LEVELS)]
    )
    return f'<w:abstractNum w:abstractNumId="{number}"><w:multiLevelType w:val="hybridMultilevel"/>{levels}</w:abstractNum>'


def _level(level: int, kind: str, text: str) -> str:
    return (
        f'<w:lvl w:ilvl="{level}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="{text}"/>'
        f'<w:lvlJc w:val="left"/><w:pPr><w:ind w:left="{360 * (level + 1)}" w:hanging="280"/></w:pPr></w:lvl>'
    )


def settings(*, fonts: bool, even: bool) -> str:
    """Return the settings of a document of Word 2013 and later; whether fonts are in it, and even pages have their headers."""
    own = ("<w:embedTrueTypeFonts/>" if fonts else "") + ("<w:evenAndOddHeaders/>" if even else "")
    return (
        f'{HEAD}<w:settings xmlns:w="{WORD}">{own}<w:compat><w:compatSetting w:name="compatibilityMode" '
        'w:uri="http://schemas.microsoft.com/office/word" w:val="15"/></w:compat></w:settings>'
    )
