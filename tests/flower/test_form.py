"""The fields that are made of a payload's JSON schema."""

from __future__ import annotations

import enum
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, SecretStr, TypeAdapter

from polos.flower.form import Field as FormField
from polos.flower.form import form_of


class Colour(enum.IntEnum):
    RED = 1
    BLUE = 2


class Point(BaseModel):
    """A place."""

    x: int
    y: int = 0


class Tree(BaseModel):
    name: str
    below: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


def field_of(annotation: Any, **given: Any) -> FormField:
    """The only field of a model's form."""
    model = type(
        "Model",
        (BaseModel,),
        {"__annotations__": {"it": annotation}, "__module__": __name__} | given,
    )
    whole = form_of(TypeAdapter(model).json_schema())
    assert whole.kind == "object"
    [field] = whole.fields
    assert field.name == "it"
    return field


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (str, "text"),
        (Annotated[str, Field(max_length=20)], "line"),
        (Annotated[str, Field(pattern="^a")], "line"),
        (UUID, "line"),
        (timedelta, "line"),
        (Path, "text"),
        (SecretStr, "secret"),
        (int, "integer"),
        (float, "number"),
        (Decimal, "decimal"),
        (bool, "boolean"),
        (date, "date"),
        (time, "time"),
        (datetime, "moment"),
        (Literal["a", 1], "choice"),
        (Colour, "choice"),
        (Literal["only"], "const"),
        (Point, "object"),
        (list[int], "list"),
        (set[str], "list"),
        (list[Point], "list"),
        (dict[str, int], "dict"),
        (dict[str, Point], "dict"),
        (int | str, "union"),
        (Cat | Dog, "union"),
        (Annotated[Cat | Dog, Field(discriminator="kind")], "union"),
        (Any, "json"),
        (dict, "json"),
        (dict[str, Any], "json"),
        (list, "json"),
        (tuple[int, str], "json"),
    ],
)
def test_each_type_has_its_field(annotation: Any, kind: str) -> None:
    field = field_of(annotation)
    assert (field.kind, field.required, field.nullable, field.default) == (kind, True, False, None)


@pytest.mark.parametrize("annotation", [int, Point, list[int], Literal["a", "b"], int | str])
def test_what_may_be_null_is_the_same_field(annotation: Any) -> None:
    field = field_of(annotation | None, it=None)
    assert field.kind == field_of(annotation).kind
    assert (field.required, field.nullable, field.default) == (False, True, "null")
    assert field_of(annotation | None).required


def test_what_is_said_about_a_field_is_shown() -> None:
    about = Field(7, title="How many", description="Of them.", ge=1, lt=10, multiple_of=2)
    field = field_of(int, it=about)
    assert (field.label, field.description, field.default) == ("How many", "Of them.", "7")
    assert field.hint == "at least 1, less than 10, a multiple of 2"
    # Pydantic's own titles say less than the name.
    assert field_of(int).label == "it"
    assert field_of(Point).description == "A place."


def test_choices_are_values_of_their_type() -> None:
    field = field_of(Literal["a", 1, True])
    assert [(it.label, it.value) for it in field.choices] == [
        ("a", '"a"'),
        ("1", "1"),
        ("true", "true"),
    ]
    assert [it.value for it in field_of(Colour).choices] == ["1", "2"]


def test_members_of_a_union_have_names() -> None:
    assert [it.label for it in field_of(Cat | Dog).fields] == ["Cat", "Dog"]
    assert [it.label for it in field_of(int | str).fields] == ["integer", "string"]


def test_lists_and_dicts_know_what_is_in_them() -> None:
    inner = field_of(list[Point]).item
    assert inner is not None
    assert [it.name for it in inner.fields] == ["x", "y"]
    assert (field_of(dict[str, list[int]]).item or inner).kind == "list"


def test_what_is_inside_of_itself_ends_as_json() -> None:
    tree = form_of(TypeAdapter(Tree).json_schema())
    below = tree.fields[1]
    assert (below.kind, below.item and below.item.kind) == ("list", "json")


def test_what_is_nested_deeply_ends_as_json() -> None:
    model: Any = Point
    for depth in range(12):
        model = type(f"M{depth}", (BaseModel,), {"__annotations__": {"it": model}})
    field = form_of(TypeAdapter(model).json_schema())
    for _ in range(12):
        if field.kind == "json":
            return
        field = field.fields[0]
    raise AssertionError("it never ends")


@pytest.mark.parametrize(
    ("schema", "kind", "required"),
    [
        (None, "json", False),
        ({"type": "null"}, "none", True),
        ({"type": "object", "additionalProperties": True}, "json", True),
        ({}, "json", True),
        ({"$ref": "#/$defs/Gone"}, "json", True),
        ({"type": ["integer", "null"]}, "integer", True),
        ({"type": "something else"}, "json", True),
        ({"allOf": [{"type": "string"}]}, "text", True),
    ],
)
def test_whole_payloads(schema: Any, kind: str, required: bool) -> None:
    field = form_of(schema)
    assert (field.kind, field.required) == (kind, required)


def test_a_payload_that_is_one_of_several_models() -> None:
    whole = form_of(TypeAdapter(Cat | Dog | None).json_schema())
    assert (whole.kind, whole.nullable) == ("union", True)


def _fields(field: FormField) -> int:
    inner = (*field.fields, *([field.item] if field.item else ()))
    return 1 + sum(map(_fields, inner))


def test_kinds_that_lead_to_each_other_make_no_endless_form() -> None:
    names = [f"Node{number}" for number in range(7)]
    node = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in names]}
    kinds = {
        name: {"type": "object", "properties": {"name": {"type": "string"}, "below": node}}
        for name in names
    }
    form = form_of({"type": "object", "properties": {"top": node}, "$defs": kinds})
    assert _fields(form) <= 150
    wide = {"type": "object", "properties": dict.fromkeys("abcd", node)}
    assert _fields(form_of({**wide, "$defs": kinds})) <= 150
    [top] = form.fields
    assert [it.kind for it in top.fields] == ["object"] * 7
    assert [it.name for it in top.fields[0].fields] == ["name", "below"]


def test_a_payload_with_many_fields_of_its_own_gets_all_of_them() -> None:
    many = {f"field{number}": {"type": "integer"} for number in range(600)}
    assert len(form_of({"type": "object", "properties": many}).fields) == 600
