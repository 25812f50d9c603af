"""The fields of a form, made from the JSON schema of a workflow's payload.

What no field can be made of is a ``json`` field: a text that has to be JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

Schema = Mapping[str, Any]
# The definitions that a schema is inside of.
_Path = tuple[str, ...]

# Deeper ones, and those inside of themselves, are typed as JSON.
_DEEPEST = 6
_MOST_CHOICES = 500
# A form that would have more gets fewer levels: kinds that lead to each other have no end of them.
_MOST_FIELDS = 150
# A text of at most so many characters gets one line.
_ONE_LINE = 100
_INPUTS = {"date": "date", "time": "time", "date-time": "moment", "password": "secret"}
_LINES = ("uuid", "email", "uri", "duration", "ipv4", "ipv6", "ipvanyaddress", "hostname")
_NULL: Schema = {"type": "null"}
_SCALARS = {"integer": "integer", "number": "number", "boolean": "boolean", "string": "text"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the values of an enum.

    Attributes:
        value: as JSON.
    """

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        kind: ``text``, ``line`` (a text without line breaks), ``secret``, ``integer``, ``number``,
            ``decimal``, ``boolean``, ``date``, ``time``, ``moment``, ``choice``, ``const``,
            ``list``, ``dict``, ``object``, ``union``, ``json``, or ``none``: nothing can be given.
        name: its key in the object that it is in.
        label: for people.
        required: whether it has to be given.
        nullable: whether it may be null.
        default: as JSON; None where there is none.
        hint: what its value has to be like.
        fields: of an object; of a union, its members.
        item: of a list or a dict, what is in it.
    """

    kind: str
    name: str = ""
    label: str = ""
    description: str = ""
    required: bool = True
    nullable: bool = False
    default: str | None = None
    hint: str = ""
    choices: tuple[Choice, ...] = ()
    fields: tuple[Field, ...] = ()
    item: Field | None = None

    @property
    def is_group(self) -> bool:
        """Whether it is made of other fields."""
        return self.kind in ("list", "dict", "object", "union")

    @property
    def is_optional(self) -> bool:
        """Whether it may be left out, or be null."""
        return self.nullable or not self.required


def form_of(schema: Schema | None) -> Field:
    """The field of a whole payload.

    Args:
        schema: the payload's; None where nobody knows it.
    """
    if schema is None:
        return Field("json", label="payload", required=False)
    if schema.get("type") == "null":
        return Field("none")
    definitions = schema.get("$defs", {})
    for levels in range(_DEEPEST, -1, -1):
        try:
            return _Reader(definitions, levels, _MOST_FIELDS).field(
                "", "payload", schema, required=True
            )
        except _TooMany:
            continue
    return _Reader(definitions, 0, math.inf).field("", "payload", schema, required=True)


class _TooMany(Exception):
    """A form would have more fields than people fill in."""


class _Reader:
    """Reads schemas that refer to these definitions.

    Args:
        deepest: inside of so many of them a field is made.
        left: how many fields may be made.
    """

    def __init__(self, definitions: Mapping[str, Schema], deepest: int, left: float) -> None:
        self._definitions = definitions
        self._deepest = deepest
        self._left = left

    def field(
        self, name: str, label: str, schema: Schema, *, required: bool, path: _Path = ()
    ) -> Field:
        """The field of one schema.

        Args:
            name: its key.
            label: for people, where the schema has no title of its own.
            path: the definitions that it is inside of.
        """
        self._left -= 1
        if self._left < 0:
            raise _TooMany
        whole, path, fits = self._resolved(schema, path)
        members, nullable = self._members(whole)
        found = Field("json")
        if fits and len(path) <= self._deepest:
            found = self._union(members, path) if len(members) > 1 else self._one(members[0], path)
        title = whole.get("title", "")
        return replace(
            found,
            name=name,
            label=title if title and title != _made_title(name) and name else label,
            description=found.description or str(whole.get("description", "")),
            required=required,
            nullable=nullable,
            default=json.dumps(whole["default"]) if "default" in whole else None,
        )

    def _resolved(self, schema: Schema, path: _Path) -> tuple[Schema, tuple[str, ...], bool]:
        """A schema without references; False where it leads into itself."""
        while True:
            parts = schema.get("allOf")
            if isinstance(parts, list) and len(parts) == 1:
                schema = {**parts[0], **{k: v for k, v in schema.items() if k != "allOf"}}
            name = str(schema.get("$ref", "")).rpartition("/")[2]
            if not name:
                return schema, path, True
            if name in path or name not in self._definitions:
                return schema, path, False
            path = (*path, name)
            own = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._definitions[name], **own}

    def _members(self, schema: Schema) -> tuple[list[Schema], bool]:
        """What a value may be, null aside, and whether it may be null."""
        listed = schema.get("anyOf") or schema.get("oneOf")
        types = schema.get("type")
        if isinstance(types, list):
            listed = [{**schema, "type": one} for one in types]
        if not isinstance(listed, list):
            return [schema], False
        members: list[Schema] = [it for it in listed if it.get("type") != "null"]
        return members or [_NULL], len(members) < len(listed)

    def _union(self, members: list[Schema], path: _Path) -> Field:
        # What Pydantic makes of a Decimal; as a text it is exact.
        if [it.get("type") for it in members] == ["number", "string"]:
            return Field("decimal", hint=_hint(members[0]))
        fields = [self.field("", self._title(it), it, required=True, path=path) for it in members]
        return Field("union", fields=tuple(fields))

    def _title(self, schema: Schema) -> str:
        whole, _, _ = self._resolved(schema, ())
        return str(whole.get("title") or whole.get("format") or whole.get("type") or "JSON")

    def _one(self, schema: Schema, path: _Path) -> Field:
        schema, path, fits = self._resolved(schema, path)
        if not fits:
            return Field("json")
        if "const" in schema:
            return Field("const", choices=(_choice(schema["const"]),))
        if "enum" in schema:
            values = schema["enum"][:_MOST_CHOICES]
            return Field("choice", choices=tuple(_choice(value) for value in values))
        match schema.get("type"):
            case "object":
                found = self._object(schema, path)
            case "array":
                found = self._list(schema, path)
            case "string":
                found = Field(_text_kind(schema), hint=_hint(schema))
            case str(kind) if kind in _SCALARS:
                found = Field(_SCALARS[kind], hint=_hint(schema))
            case _:
                found = Field("json")
        return replace(found, description=str(schema.get("description", "")))

    def _object(self, schema: Schema, path: _Path) -> Field:
        properties = schema.get("properties")
        if isinstance(properties, dict):
            required = schema.get("required", ())
            fields = (
                self.field(name, name, it, required=name in required, path=path)
                for name, it in properties.items()
            )
            return Field("object", fields=tuple(fields))
        values = schema.get("additionalProperties")
        if isinstance(values, dict) and values:
            item = self.field("", "value", values, required=True, path=path)
            return Field("dict", item=item, hint=_hint(schema))
        return Field("json")

    def _list(self, schema: Schema, path: _Path) -> Field:
        items = schema.get("items")
        if not isinstance(items, dict) or not items or "prefixItems" in schema:
            return Field("json")
        item = self.field("", self._title(items), items, required=True, path=path)
        return Field("list", item=item, hint=_hint(schema))


def _text_kind(schema: Schema) -> str:
    written = schema.get("format")
    if written in _INPUTS:
        return _INPUTS[written]
    short = schema.get("maxLength", _ONE_LINE + 1) <= _ONE_LINE
    return "line" if written in _LINES or "pattern" in schema or short else "text"


def _choice(value: Any) -> Choice:
    label = value if isinstance(value, str) else json.dumps(value)
    return Choice(label, json.dumps(value))


def _made_title(name: str) -> str:
    """The title that Pydantic makes of a name, which says nothing more."""
    return name.replace("_", " ").title()


def _hint(schema: Schema) -> str:
    return ", ".join(_limits(schema))


def _limits(schema: Schema) -> Iterator[str]:
    for key, text in (
        ("minimum", "at least {}"),
        ("exclusiveMinimum", "more than {}"),
        ("maximum", "at most {}"),
        ("exclusiveMaximum", "less than {}"),
        ("multipleOf", "a multiple of {}"),
        ("minLength", "at least {} characters"),
        ("maxLength", "at most {} characters"),
        ("pattern", "like {}"),
        ("minItems", "at least {}"),
        ("maxItems", "at most {}"),
        ("minProperties", "at least {}"),
        ("maxProperties", "at most {}"),
    ):
        if key in schema:
            yield text.format(schema[key])
    if schema.get("format") in _LINES:
        yield str(schema["format"])
