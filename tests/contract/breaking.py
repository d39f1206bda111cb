"""What a client of one OpenAPI document would miss in another.

Requests may become wider and answers richer, never the other way round. Of a request: nothing required is added, nothing that was
taken is refused. Of an answer: nothing that was there is gone, nothing that was certain is optional."""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")  # a higher one takes less
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")  # a lower one takes less


def breaks(old: Schema, new: Schema) -> list[str]:
    """Return what breaks clients of `old`, a line each."""
    return list(_Comparison(old, new).found())


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new

    def found(self) -> Iterator[str]:
        for path, verbs in self._old["paths"].items():
            for verb, old in verbs.items():
                where = f"{verb.upper()} {path}"
                new = self._new["paths"].get(path, {}).get(verb)
                if new is None:
                    yield f"{where}: gone"
                else:
                    yield from self._operation(where, old, new)

    def _operation(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            yield f"{where}: operationId {old.get('operationId')} is now {new.get('operationId')}"
        yield from self._security(where, old, new)
        yield from self._parameters(where, old, new)
        yield from self._request_body(where, old.get("requestBody"), new.get("requestBody"))
        for status in old["responses"]:
            if status in new["responses"]:
                yield from self._answer(f"{where} {status}", old["responses"][status], new["responses"][status])
            elif status.startswith("2"):
                yield f"{where}: {status} is no longer answered"
        yield from (
            f"{where}: {status} is a new answer to what went well"
            for status in new["responses"]
            if status.startswith(("1", "2", "3")) and status not in old["responses"]
        )

    def _security(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Every way to say who asks must still do; where nobody had to, nobody must."""
        before, now = (each.get("security", []) for each in (old, new))
        if now and not before:
            yield f"{where}: takes signing in now"
        elif now:
            for way in before:
                if way not in now:
                    yield f"{where}: {' and '.join(way) or 'nobody'} may no longer ask"
        schemes = self._old.get("components", {}).get("securitySchemes", {})
        for name in {name for way in before for name in way}:
            if schemes.get(name) != self._new.get("components", {}).get("securitySchemes", {}).get(name):
                yield f"{where}: the security scheme {name} is another"

    def _parameters(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        before, now = (
            {(each["in"], each["name"]): each for each in operation.get("parameters", [])} for operation in (old, new)
        )
        for (place, name), given in before.items():
            what = f"{where}: {place} parameter {name}"
            if (place, name) not in now:
                yield f"{what} is gone"
                continue
            if now[place, name].get("required") and not given.get("required"):
                yield f"{what} is required now"
            yield from self._narrower(what, given["schema"], now[place, name]["schema"])
        for (place, name), added in now.items():
            if added.get("required") and (place, name) not in before:
                yield f"{where}: {place} parameter {name} is new and required"

    def _request_body(self, where: str, old: Schema | None, new: Schema | None) -> Iterator[str]:
        if new and new.get("required") and not (old and old.get("required")):
            yield f"{where}: a body is required now"
        if old and not new:
            yield f"{where}: no body is taken any more"
        for kind, media in (old or {}).get("content", {}).items():
            if new and kind not in new["content"]:
                yield f"{where}: {kind} is no longer taken"
            elif new:
                yield from self._narrower(f"{where}: body", media["schema"], new["content"][kind]["schema"])

    def _answer(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        for kind, media in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield f"{where}: {kind} is no longer answered"
            else:
                yield from self._poorer(f"{where}: answer", media["schema"], new["content"][kind]["schema"])
        yield from (
            f"{where}: header {each} is gone" for each in old.get("headers", {}).keys() - new.get("headers", {})
        )

    def _narrower(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Yield what the new schema of a request refuses and the old one took."""
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        yield from _limits(where, old, new)
        if "anyOf" in old or "anyOf" in new:
            yield from self._alternatives(where, old, new)
            return
        if lost := _types(old) - _types(new):
            yield f"{where}: is no longer {' or '.join(sorted(lost))}"
            return
        yield from self._narrower_values(where, old, new)
        before, now = old.get("properties", {}), new.get("properties", {})
        for name in before:
            if name in now:
                yield from self._narrower(f"{where}/{name}", before[name], now[name])
            elif new.get("additionalProperties", True) is False:
                yield f"{where}/{name}: is no longer taken"
        for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
            yield f"{where}/{name}: is required now"
        for inner in ("items", "additionalProperties"):
            if isinstance(old.get(inner), dict) and isinstance(new.get(inner), dict):
                yield from self._narrower(f"{where}/*", old[inner], new[inner])
        if new.get("additionalProperties", True) is False and old.get("additionalProperties", True) is not False:
            yield f"{where}: other fields are no longer taken"

    def _narrower_values(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        taken = _values(new)
        if taken is not None:
            before = _values(old)
            lost = ["other values"] if before is None else [each for each in before if each not in taken]
            yield from (f"{where}: {each!r} is no longer taken" for each in lost)
        for keyword in ("pattern", "format"):
            if keyword in new and new[keyword] != old.get(keyword):
                yield f"{where}: {keyword} is {new[keyword]!r} now"

    def _alternatives(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Every alternative of a request must fit one of the new ones."""
        news = new.get("anyOf", [new])
        for each in old.get("anyOf", [old]):
            misses = [list(self._narrower(where, each, other)) for other in news]
            if all(misses):
                yield from min(misses, key=len)

    def _poorer(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Yield what a reader of the old answer finds no more in the new one."""
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        if "anyOf" in old or "anyOf" in new:
            olds = old.get("anyOf", [old])
            for each in new.get("anyOf", [new]):
                misses = [list(self._poorer(where, other, each)) for other in olds]
                if all(misses):
                    yield from min(misses, key=len)
            return
        if more := _types(new) - _types(old):
            yield f"{where}: may be {' or '.join(sorted(more))} now"
            return
        yield from _more_values(where, old, new)
        before, now = old.get("properties", {}), new.get("properties", {})
        for name in before:
            if name in now:
                yield from self._poorer(f"{where}/{name}", before[name], now[name])
            else:
                yield f"{where}/{name}: is gone"
        for name in sorted(set(old.get("required", ())) & now.keys() - set(new.get("required", ()))):
            yield f"{where}/{name}: is not certain any more"
        for inner in ("items", "additionalProperties"):
            if isinstance(old.get(inner), dict) and isinstance(new.get(inner), dict):
                yield from self._poorer(f"{where}/*", old[inner], new[inner])


def _more_values(where: str, old: Schema, new: Schema) -> Iterator[str]:
    known, values = _values(old), _values(new)
    if known is not None:
        added = ["other values"] if values is None else [each for each in values if each not in known]
        yield from (f"{where}: may be {each!r} now" for each in added)
    if "format" in old and new.get("format") != old["format"]:
        yield f"{where}: format is {new.get('format')!r} now"


def _resolved(document: Schema, schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _types(schema: Schema) -> set[str]:
    """Return the types; one that says none may be any."""
    given = schema.get("type", ["array", "boolean", "null", "number", "object", "string"])
    types = {given} if isinstance(given, str) else set(given)
    return types | {"integer"} if "number" in types else types


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _limits(where: str, old: Schema, new: Schema) -> Iterator[str]:
    for keywords, sign in ((LOWER, 1), (UPPER, -1)):
        for each in keywords:
            if each in new and (each not in old or sign * (new[each] - old[each]) > 0):
                yield f"{where}: {each} is {new[each]} now, was {old.get(each, 'not limited')}"
