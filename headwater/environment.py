"""Read the settings: from the environment, from files it names, and behind it from a file `.env`."""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import ValidationError

from headwater.settings import FAMILIES, PREFIX, SECRETS, Settings, SettingsError


def load(environ: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Return the settings from `environ`, `overrides` winning. Raise `SettingsError`.

    By default that is the process's own environment, and behind it a file `.env` in the working directory."""
    given = {**_dotenv(), **os.environ} if environ is None else environ
    values: dict[str, object] = {}
    families: dict[str, dict[str, str]] = {field: {} for field in FAMILIES.values()}
    for variable, value in _with_files({name: given[name] for name in given if name.startswith(PREFIX)}).items():
        name = variable.removeprefix(PREFIX).lower()
        family = _family(variable)
        if name in Settings.model_fields and name not in families:
            values[name] = value
        elif family:
            families[FAMILIES[family]][variable.removeprefix(family).lower()] = value
        else:
            raise SettingsError(f"unknown variable {variable}; `headwater settings` lists the known ones")
    try:
        return Settings(**(values | families | overrides))  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(problem) for problem in error.errors())) from None


def _family(variable: str) -> str | None:
    """Return the beginning of a variable that ends in a name of its own."""
    return next((each for each in FAMILIES if variable.startswith(each) and variable != each), None)


def _dotenv() -> dict[str, str]:
    """A setting of the environment wins over one of the file, whichever of them is given as a secret's `_FILE`."""
    given = {name.removesuffix("_FILE") for name in os.environ}
    found = dotenv_values(".env").items()
    return {name: value for name, value in found if value is not None and name.removesuffix("_FILE") not in given}


def _with_files(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables, each that names a secret's file replaced by the secret."""
    values = dict(given)
    for variable, path in given.items():
        plain = variable.removesuffix("_FILE")
        secret = plain.removeprefix(PREFIX).lower() in SECRETS or _family(plain)
        if plain == variable or not secret:
            continue
        if plain in given:
            raise SettingsError(f"set {variable} or {plain}, not both")
        del values[variable]
        values[plain] = _content(variable, path)
    return values


def _content(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{variable}: cannot read {path}: not UTF-8 text") from None


def _sentence(problem: Mapping[str, object]) -> str:
    """Name the variable and what is wrong, without repeating its value, which may be a secret."""
    where = problem["loc"]
    name = f"{PREFIX}{str(where[0]).upper()}: " if isinstance(where, tuple) and where else ""
    return name + str(problem["msg"]).removeprefix("Value error, ")
