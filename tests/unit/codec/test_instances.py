"""What is made of values for the people who get them: coerced, unpackable and plain ones."""

from __future__ import annotations

import copy
import datetime as dt
import inspect
import json
import math
import pickle
from decimal import Decimal
from typing import Annotated, Any, Protocol
from uuid import UUID

import pytest
from hypothesis import given, settings
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError
from typing_extensions import TypedDict

from polos.codec import coerce, decode, encode, plain, unpackable
from polos.errors import UnknownType
from tests.unit.codec import shapes
from tests.unit.codec.strategies import same, values

# -- coerce ----------------------------------------------------------------------------------


@pytest.mark.parametrize("annotation", [Any, None, inspect.Parameter.empty])
def test_nothing_is_demanded(annotation: Any) -> None:
    value = object()
    assert coerce(value, annotation) is value


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (shapes.Base(), shapes.Base),
        (shapes.Derived(), shapes.Base),
        (shapes.Derived(), shapes.Base | None),
        (shapes.Point(1), shapes.Point),
        (True, int),
        (shapes.Size.S, shapes.Size),
        ({"a": 1}, dict),
        (object(), object),
    ],
)
def test_what_fits_is_not_copied(value: Any, annotation: Any) -> None:
    assert coerce(value, annotation) is value


def test_models_inside_are_not_copied() -> None:
    base = shapes.Base()
    assert coerce([base], list[shapes.Base])[0] is base


class Options(TypedDict):
    n: int


class Shape(Protocol):
    x: int


class Unknown:
    pass


@pytest.mark.parametrize(
    ("value", "annotation", "wanted"),
    [
        ({"name": "x"}, shapes.Base, shapes.Base(name="x")),
        ({"a": 1}, shapes.Demanding, shapes.Demanding(a=1)),
        ({"A": 1}, shapes.Demanding, shapes.Demanding(a=1)),
        ("7", int, 7),
        ([1], tuple[int, ...], (1,)),
        ({"n": "1"}, Options, {"n": 1}),
        ([{"name": "x"}], list[shapes.Base], [shapes.Base(name="x")]),
        ({"x": 1}, shapes.Point, None),
        (5, Annotated[int, Field(gt=1)], 5),
        (5, Annotated[int, {"not": "hashable"}], 5),
    ],
)
def test_what_can_be_made_to_fit(value: Any, annotation: Any, wanted: Any) -> None:
    made = coerce(value, annotation)
    assert wanted is None or same(made, wanted)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [("x", int), ({}, shapes.Box[int]), (1, shapes.Base), (1, Unknown), (None, int), (1, str)],
)
def test_what_does_not_fit_is_a_validation_error(value: Any, annotation: Any) -> None:
    with pytest.raises(ValidationError):
        coerce(value, annotation)


def test_a_class_unknown_to_pydantic_is_fine_where_the_value_is_one() -> None:
    value = Unknown()
    assert coerce(value, Unknown) is value
    assert coerce(value, Unknown | None) is value
    assert coerce([value], list[Unknown])[0] is value


def test_the_order_in_a_union_is_not_lost_in_a_cache() -> None:
    class A(BaseModel):
        n: int

    class B(BaseModel):
        n: int

    assert type(coerce({"n": 1}, A | B)) is A
    assert type(coerce({"n": 1}, B | A)) is B
    assert type(coerce([{"n": 1}], list[A | B])[0]) is A
    assert type(coerce([{"n": 1}], list[B | A])[0]) is B


# -- unpackable ------------------------------------------------------------------------------


class Result(BaseModel):
    valid: bool
    errors: list[str] = []
    nested: shapes.Base | None = None
    price: Decimal = Decimal("1.0")
    _secret: int = PrivateAttr(default=1)


class Key(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")
    n: int


class Aliased(BaseModel):
    a: int = Field(alias="A")
    b: int = Field(default=0, validation_alias=AliasChoices("B", "bb"))


class Indexed(BaseModel):
    items: list[int]

    def __getitem__(self, index: int) -> int:
        return self.items[index]


class Mapped(BaseModel):
    n: int = 1

    def keys(self) -> list[str]:
        return ["own"]

    def __getitem__(self, key: str) -> str:
        return key


REGISTRY: list[str] = []


class Registered(BaseModel):
    def __init_subclass__(cls, *, label: str, **kwargs: Any) -> None:
        REGISTRY.append(label)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        REGISTRY.append("pydantic")


class Child(Registered, label="child"):
    n: int = 1


MODELS = [
    Result(valid=True, nested=shapes.Derived()),
    Key(n=1, more=[1]),
    Aliased(A=1, B=2),
    Indexed(items=[5]),
    Child(),
    shapes.Box[int](item=1),
    shapes.Numbers([1]),
    shapes.Node(next=shapes.Node()),
    shapes.Order(id=UUID(int=1), total=1, at=dt.datetime(2020, 1, 1), Label="x"),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
class TestUnpackable:
    def test_it_can_be_unpacked(self, model: Any) -> None:
        again = type(model)(**unpackable(model))
        assert again == model
        assert type(again) is type(model)

    def test_it_is_equal_both_ways_round(self, model: Any) -> None:
        made = unpackable(model)
        assert made == model
        assert model == made
        assert made == unpackable(model)
        assert (made != model, model != made) == (False, False)
        assert [made] == [model]
        assert made != shapes.Slotted(1)
        assert made is not None

    def test_it_looks_like_the_model(self, model: Any) -> None:
        made = unpackable(model)
        cls = type(model)
        assert isinstance(made, cls)
        assert type(made) is not cls
        assert type(made) is type(unpackable(model))
        assert repr(made) == repr(model)
        assert str(made) == str(model)
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            assert getattr(type(made), name) == getattr(cls, name)
        assert made.model_dump() == model.model_dump()
        assert made.model_dump_json(by_alias=True) == model.model_dump_json(by_alias=True)
        assert made.model_fields_set == model.model_fields_set
        assert same(cls.model_validate(made) == model, True)

    def test_it_is_kept_as_the_model(self, model: Any) -> None:
        made = unpackable(model)
        assert encode([made]) == encode([model])
        assert type(decode(encode(made))) is type(model)

    def test_it_can_be_copied_and_pickled(self, model: Any) -> None:
        made = unpackable(model)
        for again in (
            copy.copy(made),
            copy.deepcopy(made),
            made.model_copy(),
            pickle.loads(pickle.dumps(made)),
        ):
            assert again == model
            assert type(again) is type(made)

    def test_it_fits_where_the_model_does(self, model: Any) -> None:
        made = unpackable(model)
        assert coerce(made, type(model)) is made
        assert shapes.Box[type(model)](item=made).item == model

    def test_it_has_the_hash_of_the_model(self, model: Any) -> None:
        made = unpackable(model)
        if type(model).__hash__ is None:
            with pytest.raises(TypeError):
                hash(made)
        elif not isinstance(model, Key):
            assert hash(made) == hash(model)

    def test_it_is_not_equal_to_another_value(self, model: Any) -> None:
        other = model.model_copy()
        name = next(iter(type(model).model_fields))
        vars(other)[name] = "something else"
        assert unpackable(model) != other
        assert other != unpackable(model)
        assert unpackable(other) != unpackable(model)


def test_no_hook_of_the_model_hears_of_it() -> None:
    REGISTRY.clear()
    unpackable(Child())
    assert REGISTRY == []


def test_the_hash_of_a_frozen_model() -> None:
    assert hash(unpackable(shapes.Derived())) == hash(shapes.Derived())
    assert unpackable(shapes.Derived()) in {shapes.Derived()}


def test_values_by_name_and_by_alias() -> None:
    made: Any = unpackable(Aliased(A=1, B=2))
    assert dict(**made) == {"A": 1, "B": 2}
    assert (made["A"], made["a"], made.a) == (1, 1, 1)
    with pytest.raises(KeyError):
        made["nothing"]


def test_extra_values_are_unpacked_too() -> None:
    assert {**unpackable(Key(n=1, more=2))} == {"n": 1, "more": 2}


def test_an_index_of_the_models_own_still_works() -> None:
    made: Any = unpackable(Indexed(items=[5, 6]))
    assert made[1] == 6
    assert {**made} == {"items": [5, 6]}


def test_models_inside_stay_what_they_are() -> None:
    inner = shapes.Derived()
    made: Any = unpackable(Result(valid=True, nested=inner))
    assert made.nested is inner
    assert made["nested"] is inner


def test_private_values_go_along() -> None:
    model = Result(valid=True)
    model._secret = 5
    made = unpackable(model)
    assert made._secret == 5
    made._secret = 6
    assert model._secret == 5
    assert made != model


def test_changes_do_not_reach_the_model() -> None:
    model = Result(valid=True)
    made = unpackable(model)
    made.valid = False
    assert model.valid is True
    assert model.model_fields_set == {"valid"}


@pytest.mark.parametrize("value", [None, 1, "x", [1], {"a": 1}, shapes.Point(1), Mapped(), Result])
def test_anything_else_comes_back_unchanged(value: Any) -> None:
    assert unpackable(value) is value


def test_twice_is_once() -> None:
    made = unpackable(Result(valid=True))
    assert unpackable(made) is made


# -- plain -----------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(values())
def test_plain_data_is_json(value: Any) -> None:
    data = plain(value)
    text = json.dumps(data, allow_nan=False, ensure_ascii=False) if _short(data) else "null"
    assert not _short(data) or json.loads(text) == data


def _short(data: Any) -> bool:
    try:
        return bool(repr(data))
    except ValueError:  # an int of more digits than text may have
        return False


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ((1, {2}), [1, [2]]),
        (math.nan, "nan"),
        (b"x", "eA=="),
        (shapes.Size.L, 3),
        (shapes.Opaque.THING.name, "THING"),
        (Decimal("1.10"), "1.10"),
        (dt.datetime(2020, 1, 2, tzinfo=dt.UTC), "2020-01-02T00:00:00+00:00"),
        (dt.timedelta(hours=1), "PT1H"),
        (shapes.Numbers([1]), [1]),
        (shapes.Slotted((1,)), {"a": [1], "b": None}),
        (shapes.Anything(more=(1,)), {"value": None, "base": None, "more": [1]}),
        ({1: shapes.Base()}, {"1": {"name": "base"}}),
        (shapes.Foreign(), None),
    ],
)
def test_plain_data(value: Any, wanted: Any) -> None:
    assert wanted is None or plain(value) == wanted


def test_one_file_under_two_module_names_is_one_class() -> None:
    """A worker that loads flows.py by its path writes another module name than its clients."""
    data = encode(shapes.Box[int](item=1)).replace(b"tests.unit.codec.shapes", b"shapes")
    assert b"shapes:Box" in data
    assert decode(data, shapes.Box[int]) == shapes.Box[int](item=1)
    plain = encode(shapes.Base()).replace(b"tests.unit.codec.shapes", b"other")
    with pytest.raises(UnknownType):
        decode(plain, shapes.Base)
