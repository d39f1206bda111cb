"""Text that people write beside an order."""

from shared_kernel.errors import Refused


def checked(text: str, limit: int, code: str) -> str:
    """Return the text, which may be empty. Raise `Refused` with `code` for one that is too long or cannot be stored everywhere:
    no NUL, which PostgreSQL refuses, and no lone surrogates, which UTF-8 cannot carry."""
    if len(text) > limit:
        raise Refused(code, f"at most {limit} characters")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Refused(code, "NUL and lone surrogates are not text")
    return text
