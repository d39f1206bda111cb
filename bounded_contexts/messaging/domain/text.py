"""Text that people write."""

from shared_kernel.errors import Refused


def checked(text: str, limit: int, code: str) -> str:
    """Return the text. Raise `Refused` with `code` unless it has 1 to `limit` characters and can be stored everywhere:
    no NUL, which PostgreSQL refuses, and no lone surrogates, which UTF-8 cannot carry."""
    if not 1 <= len(text) <= limit or not text.strip():
        raise Refused(code, f"1 to {limit} characters, not only spaces")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Refused(code, "NUL and lone surrogates are not text")
    return text
