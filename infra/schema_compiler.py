"""Generate event classes from the Avro files and keep the lock of published versions (docs/schemas.md)."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"
LOCK = "schemas.lock"
ATTRIBUTES = ("topic", "key", "visibility", "doc")  # every event says these about itself
SIMPLE = {"string": "str", "int": "int", "long": "int", "boolean": "bool", "double": "float", "bytes": "bytes"}


class SchemaError(ValueError):
    """A schema file breaks a rule. The message names the file."""


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """One version of one event."""

    path: Path  # relative to the schemas directory: <context>/<event>.<version>.avsc
    version: int
    schema: dict[str, Any]

    @property
    def subject(self) -> str:
        """Return the registry subject: the full name (RecordNameStrategy), so a topic may carry several types."""
        return f"{self.schema['namespace']}.{self.schema['name']}"

    @property
    def context(self) -> str:
        return self.path.parts[0]

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the content, white space aside."""
        return hashlib.sha256(json.dumps(self.schema, separators=(",", ":")).encode()).hexdigest()


def read_schemas(root: Path = SCHEMAS) -> list[SchemaFile]:
    """Return every schema file, ordered by subject and version. Raise `SchemaError` for one that breaks a rule."""
    files = [_read(path.relative_to(root), root) for path in sorted(root.glob("*/*.avsc"))]
    files.sort(key=lambda file: (file.subject, file.version))
    for before, file in zip([None, *files], files, strict=False):
        expected = before.version + 1 if before and before.subject == file.subject else 1
        if file.version != expected:
            raise SchemaError(f"{file.path}: version {expected} comes next, not {file.version}")
    return files


def generate(root: Path = SCHEMAS) -> dict[Path, str]:
    """Return path → content of everything that follows from the schema files."""
    newest = {file.subject: file for file in read_schemas(root)}
    outputs = {root / LOCK: _lock(root), root / "catalogue.py": _catalogue(list(newest.values()))}
    for context in sorted({file.context for file in newest.values()}):
        classes = [file for file in newest.values() if file.context == context]
        outputs[root / context / "events.py"] = _module(context, classes)
    return outputs


def write(root: Path = SCHEMAS) -> list[Path]:
    """Write what `generate` returns; return the files that changed. Repeating changes nothing."""
    changed = [path for path, content in generate(root).items() if _text(path) != content]
    for path, content in generate(root).items():
        path.write_text(content, encoding="utf-8")
    return changed


def check(root: Path = SCHEMAS) -> list[str]:
    """Return a sentence for every generated file that is stale and every published version that was changed."""
    problems = [
        f"{path.name} is stale: run `make schemas`"
        for path, content in generate(root).items()
        if _text(path) != content
    ]
    now = {(file.subject, file.version): file.fingerprint for file in read_schemas(root)}
    for subject, version, fingerprint in _locked(root):
        if now.get((subject, version)) != fingerprint:
            problems.append(f"{subject} version {version} was published and must not change: add version {version + 1}")
    return problems


def _read(path: Path, root: Path) -> SchemaFile:
    name = re.fullmatch(r"([a-z_]+)\.([1-9][0-9]*)\.avsc", path.name)
    if not name:
        raise SchemaError(f"{path}: name it <event>.<version>.avsc")
    schema = json.loads((root / path).read_text(encoding="utf-8"))
    missing = [attribute for attribute in ATTRIBUTES if attribute not in schema]
    if missing:
        raise SchemaError(f"{path}: attribute {missing[0]} is missing")
    if _snake(schema["name"]) != name[1] or schema["namespace"] != f"headwater.{path.parts[0]}":
        raise SchemaError(f"{path}: file, name and namespace do not agree")
    fields = {field["name"] for field in schema["fields"]}
    for attribute in ("key", "id"):
        if attribute in schema and schema[attribute] not in fields:
            raise SchemaError(f"{path}: {attribute} names no field")
    return SchemaFile(path, int(name[2]), schema)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _locked(root: Path) -> list[tuple[str, int, str]]:
    lines = (line.split() for line in _text(root / LOCK).splitlines() if line and not line.startswith("#"))
    return [(subject, int(version), fingerprint) for subject, version, fingerprint in lines]


def _lock(root: Path) -> str:
    """Keep published lines in order of birth and add the new versions behind them."""
    published = _locked(root)
    known = {(subject, version) for subject, version, _ in published}
    born = [(f.subject, f.version, f.fingerprint) for f in read_schemas(root) if (f.subject, f.version) not in known]
    lines = [f"{subject} {version} {fingerprint}" for subject, version, fingerprint in [*published, *born]]
    return "\n".join(["# subject version sha256, in order of birth; lines are only ever added", *lines, ""])


def _catalogue(newest: list[SchemaFile]) -> str:
    contexts = sorted({file.context for file in newest})
    names = [f"{file.context}.{file.schema['name']}" for file in newest]
    return "\n".join(
        [
            '"""Every event of the house, newest version each. Generated by `make schemas`; do not edit."""',
            "",
            *(f"from schemas.{context} import events as {context}" for context in contexts),
            "",
            "EVENTS = (",
            *(f"    {name}," for name in names),
            ")",
            "",
        ]
    )


def _module(context: str, files: list[SchemaFile]) -> str:
    bodies = [*(_part(record) for record in _parts(files)), *(_class(file.schema, file) for file in files)]
    code = "\n\n\n".join(bodies)
    needs = [name for name in ("micros", "moment", "uuid_of") if f"{name}(" in code]
    typing = [name for name in ("Any", "ClassVar", "Literal", "Self") if re.search(rf"\b{name}\b", code)]
    return "\n".join(
        [
            f'"""Events of {context}. Generated by `make schemas` from the .avsc files; do not edit."""',
            "",
            "from dataclasses import dataclass",
            *(["from datetime import datetime"] if "datetime" in code else []),
            f"from typing import {', '.join(typing)}",
            *(["from uuid import UUID"] if "UUID" in code else []),
            "",
            *([f"from schemas.wire import {', '.join(needs)}", ""] if needs else []),
            "",
            code,
            "",
        ]
    )


def _parts(files: list[SchemaFile]) -> list[dict[str, Any]]:
    """Return the records that events are made of, each once. Raise `SchemaError` where two files mean two by one name."""
    parts: dict[str, dict[str, Any]] = {}
    for file in files:
        for record in _records(file.schema["fields"]):
            if parts.setdefault(record["name"], record) != record:
                raise SchemaError(f"{file.path}: {record['name']} is another record elsewhere in the context")
    return list(parts.values())


def _records(kind: Any) -> list[dict[str, Any]]:
    """Return the records within a type, inner ones first."""
    match kind:
        case list():
            return [record for each in kind for record in _records(each)]
        case {"type": "record", "fields": fields}:
            return [*_records(fields), kind]
        case {"items": inner} | {"values": inner} | {"type": inner}:
            return _records(inner)
    return []


def _part(schema: dict[str, Any]) -> str:
    if missing := [attribute for attribute in ("doc", "fields") if not schema.get(attribute)]:
        raise SchemaError(f"record {schema['name']}: {missing[0]} is missing")
    return "\n".join([*_head(schema), *_fields(schema["fields"])])


def _class(schema: dict[str, Any], file: SchemaFile) -> str:
    constants = {
        "NAME": file.subject,
        "VERSION": file.version,
        "TOPIC": schema["topic"],
        "KEY": schema["key"],
        "ID": schema.get("id"),
        "VISIBILITY": schema["visibility"],
        "SCHEMA": file.path.as_posix(),
    }
    hints = {"VERSION": "int", "ID": "str | None"}
    return "\n".join(
        [
            *_head(schema),
            *(
                f"    {name}: ClassVar[{hints.get(name, 'str')}] = {_literal(value)}"
                for name, value in constants.items()
            ),
            "",
            *_fields(schema["fields"]),
        ]
    )


def _head(schema: dict[str, Any]) -> list[str]:
    return [
        "@dataclass(frozen=True, slots=True, kw_only=True)",
        f"class {schema['name']}:",
        f'    """{schema["doc"]}"""',
        "",
    ]


def _fields(fields: list[dict[str, Any]]) -> list[str]:
    return [
        *(_field(field) for field in fields),
        "",
        "    def to_record(self) -> dict[str, Any]:",
        '        """Return what Avro encodes."""',
        "        return {",
        *(f'            "{field["name"]}": {_out(field["type"], "self." + field["name"])},' for field in fields),
        "        }",
        "",
        "    @classmethod",
        "    def from_record(cls, record: dict[str, Any]) -> Self:",
        '        """Return what Avro decoded."""',
        "        return cls(",
        *(f"            {field['name']}={_in(field['type'], _item(field))}," for field in fields),
        "        )",
    ]


def _item(field: dict[str, Any]) -> str:
    return f'record["{field["name"]}"]'


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _field(field: dict[str, Any]) -> str:
    line = f"    {field['name']}: {_hint(field['type'])}"
    if "default" in field:
        line += f" = {_default(field['type'], field['default'])}"
    return (f"    # {field['doc']}\n" if "doc" in field else "") + line


def _default(kind: Any, value: object) -> str:
    """Return the default in Python, where all instances of a class share it."""
    if value == []:
        return "()"
    plain = isinstance(kind, str) and kind != "bytes"
    if value is None or plain or (isinstance(kind, dict) and kind["type"] == "enum"):
        return _literal(value)
    raise SchemaError(f"the generator knows no default {value} of {kind}")


def _nullable(kind: Any) -> Any:
    """Return the other branch of a ["null", T] union, or None if `kind` is no union."""
    if not isinstance(kind, list):
        return None
    if len(kind) != 2 or kind[0] != "null":
        raise SchemaError(f"only unions of null and one type are used, not {kind}")
    return kind[1]


def _hint(kind: Any) -> str:
    if other := _nullable(kind):
        return f"{_hint(other)} | None"
    if isinstance(kind, str) and kind in SIMPLE:
        return SIMPLE[kind]
    match kind:
        case {"logicalType": "uuid"}:
            return "UUID"
        case {"logicalType": "timestamp-micros"}:
            return "datetime"
        case {"type": "array", "items": items}:
            return f"tuple[{_hint(items)}, ...]"
        case {"type": "enum", "symbols": symbols}:
            return f"Literal[{', '.join(json.dumps(symbol) for symbol in symbols)}]"
        case {"type": "map", "values": values}:
            return f"dict[str, {_hint(values)}]"
        case {"type": "record", "name": str(name)}:
            return name
    raise SchemaError(f"the generator does not know {kind}")


def _out(kind: Any, value: str) -> str:
    if other := _nullable(kind):
        inner = _out(other, value)
        return value if inner == value else f"None if {value} is None else {inner}"
    match kind:
        case {"logicalType": "uuid"}:
            return f"str({value})"
        case {"logicalType": "timestamp-micros"}:
            return f"micros({value})"
        case {"type": "array", "items": items}:
            inner = _out(items, "item")
            return f"list({value})" if inner == "item" else f"[{inner} for item in {value}]"
        case {"type": "map", "values": values} if (inner := _out(values, "item")) != "item":
            return f"{{key: {inner} for key, item in {value}.items()}}"
        case {"type": "record"}:
            return f"{value}.to_record()"
    return value


def _in(kind: Any, value: str) -> str:
    if other := _nullable(kind):
        inner = _in(other, value)
        return value if inner == value else f"None if {value} is None else {inner}"
    match kind:
        case {"logicalType": "uuid"}:
            return f"uuid_of({value})"
        case {"logicalType": "timestamp-micros"}:
            return f"moment({value})"
        case {"type": "array", "items": items}:
            inner = _in(items, "item")
            return f"tuple({value})" if inner == "item" else f"tuple([{inner} for item in {value}])"
        case {"type": "map", "values": values} if (inner := _in(values, "item")) != "item":
            return f"{{key: {inner} for key, item in {value}.items()}}"
        case {"type": "record", "name": name}:
            return f"{name}.from_record({value})"
    return value
