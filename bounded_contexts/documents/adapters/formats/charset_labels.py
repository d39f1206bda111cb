"""Labels of charsets by the Encoding Standard that the standard library has no such name for."""

from typing import Final

_LABELS: Final = {
    "utf-8": ("unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8"),
    "utf-16-le": ("csunicode", "iso-10646-ucs-2", "ucs-2", "unicode", "unicodefeff"),
    "utf-16-be": ("unicodefffe",),
    "cp874": ("dos-874", "windows-874", "iso-8859-11", "iso885911"),
    "cp1250": ("x-cp1250",),
    "cp1251": ("x-cp1251",),
    "cp1252": ("x-cp1252",),
    "cp1253": ("x-cp1253",),
    "cp1254": ("x-cp1254",),
    "cp1255": ("x-cp1255",),
    "cp1256": ("x-cp1256",),
    "cp1257": ("x-cp1257",),
    "cp1258": ("x-cp1258",),
    "iso-8859-6": ("csiso88596e", "csiso88596i", "iso-8859-6-e", "iso-8859-6-i"),
    "iso-8859-7": ("sun_eu_greek",),
    "iso-8859-8": ("csiso88598e", "csiso88598i", "iso-8859-8-e", "iso-8859-8-i", "logical", "visual"),
    "iso-8859-10": ("csisolatin6",),
    "iso-8859-13": ("iso885913",),
    "iso-8859-14": ("iso885914",),
    "iso-8859-15": ("csisolatin9", "iso885915"),
    "koi8-r": ("koi", "koi8"),
    "koi8-u": ("koi8-ru",),
    "mac-roman": ("x-mac-roman",),
    "mac-cyrillic": ("x-mac-cyrillic", "x-mac-ukrainian"),
    "gb18030": ("x-gbk",),
    "big5-hkscs": ("cn-big5", "x-x-big5"),
    "euc-jp": ("cseucpkdfmtjapanese", "x-euc-jp"),
    "cp932": ("windows-31j", "x-sjis"),
    "cp949": ("windows-949",),
}
CODECS: Final = {label: codec for codec, labels in _LABELS.items() for label in labels}
