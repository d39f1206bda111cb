"""A reader under Atheris, which looks for inputs that reach lines no other has reached: `python -m tests.fuzz.readers FORMAT`.

Further arguments are libFuzzer's: directories with inputs, `-runs=`, `-max_total_time=` in seconds, or one file to try again.
It ends with 77 at the first input that is neither read nor refused, and leaves it in a file.
"""

import sys

import atheris

with atheris.instrument_imports(include=["bounded_contexts.documents"]):
    from tests.unit.test_documents_fuzz import OPTIONS, TARGETS, tried


def main(format_: str, *arguments: str) -> None:
    def try_(given: bytes) -> None:
        """The first two bytes say what becomes of the others."""
        if len(given) >= 2:
            target, options = given[0] % len(TARGETS), given[1] % len(OPTIONS)
            tried(given[2:], format_, TARGETS[target], OPTIONS[options])

    atheris.Setup([sys.argv[0], *arguments], try_)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
