from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, PrivateAttr, create_model

from polos.codec import decode, decode_payload, encode, encode_payload
from polos.errors import CodecError, InvalidPayload, UnsupportedType, ValueTooLarge
from tests.unit.codec import shapes
from tests.unit.codec.strategies import same


class Cat(BaseModel):
    name: str
    lives: int = 9


class Dog(BaseModel):
    name: str
    lives: int = 1


class Puppy(Dog):
    weeks: int = 3
    _toy: Any = PrivateAttr(default=None)


def version(name: str, /, **fields: Any) -> Any:
    """A model as another release of the same module has it."""
    return create_model(name, __module__="shop", **fields)


@pytest.mark.parametrize("payload", [None, {}, {"a": (1, {2})}, {"$": Decimal("1.0")}])
@pytest.mark.parametrize("annotation", [Any, None, dict | None])
def test_plain_payloads_come_back_as_they_were(payload: Any, annotation: Any) -> None:
    assert same(decode_payload(encode_payload(payload), annotation), payload)


@pytest.mark.parametrize("payload", [1, "x", [1], (1,), Cat, {1, 2}])
def test_other_payloads_are_refused(payload: Any) -> None:
    with pytest.raises(TypeError, match="a payload is a Pydantic model, a dict or None, not "):
        encode_payload(payload)


def test_the_errors_of_values_are_those_of_payloads() -> None:
    with pytest.raises(UnsupportedType):
        encode_payload({"a": object()})
    with pytest.raises(ValueTooLarge):
        encode_payload(Cat(name="x" * 100), 50)
    assert encode_payload({"a": 1}, None) == b'{"a":1}'
    with pytest.raises(CodecError):
        decode_payload(b"{", dict)
    with pytest.raises(CodecError):
        decode_payload(b'{"$":"model","t":"x:Y"}', dict)


def test_a_model_comes_back_exactly() -> None:
    puppy = Puppy(name="Rex")
    puppy._toy = {1, 2}
    back = decode_payload(encode_payload(puppy), Dog)
    assert same(back, puppy)
    assert back._toy == {1, 2}
    assert back.model_fields_set == {"name"}


def test_an_unchanged_class_runs_no_validators_again() -> None:
    strange = shapes.Strange(words="a,b", calls=1)
    assert same(decode_payload(encode_payload(strange), shapes.Strange), strange)


def test_the_stored_class_picks_the_member_of_a_union() -> None:
    for annotation in (
        Cat | Dog,
        Dog | Cat,
        Cat | Dog | None,
        Annotated[Cat | Dog, "x"],
        Cat | Dog | dict,
    ):
        for pet in (Cat(name="x", lives=5), Dog(name="x", lives=5)):
            assert same(decode_payload(encode_payload(pet), annotation), pet)


def test_a_dict_goes_to_the_first_member_that_fits() -> None:
    row = encode_payload({"name": "x"})
    assert decode_payload(row, Cat | Dog) == Cat(name="x")
    assert decode_payload(row, Dog | Cat) == Dog(name="x")
    assert decode_payload(row, Dog | None) == Dog(name="x")


class Meows(BaseModel):
    kind: Literal["cat"]


class Barks(BaseModel):
    kind: Literal["dog"]


def test_a_discriminator_is_followed() -> None:
    annotation = Annotated[Meows | Barks, Field(discriminator="kind")]
    assert decode_payload(encode({"kind": "dog"}), annotation) == Barks(kind="dog")
    with pytest.raises(InvalidPayload):
        decode_payload(encode({"kind": "cow"}), annotation)


def test_a_dict_is_validated_and_its_exact_values_survive() -> None:
    row = encode_payload(
        {
            "id": UUID(int=1),
            "total": Decimal("1.10"),
            "at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
            "Label": "x",
            "tags": ["a"],
        }
    )
    order = decode_payload(row, shapes.Order)
    assert (order.id, order.label, order.tags) == (UUID(int=1), "x", {"a"})
    assert str(order.total) == "1.10"
    assert order.at.tzinfo is dt.UTC


@pytest.mark.parametrize("key", ["A", "a"])
def test_fields_are_known_by_name_and_by_alias(key: str) -> None:
    assert decode_payload(encode({key: 1}), shapes.Demanding).a == 1
    old = version("Aliased", a=(int, Field(alias="A")))
    new = version("Aliased", a=(int, Field(alias="B")), b=(int, 0))
    back = decode_payload(encode_payload(old(A=3)), new)
    assert (type(back), back.a) == (new, 3)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "name: Field required"),
        ({"name": "x", "lives": "many"}, "lives: Input should be a valid integer"),
        (None, "(all of it): Input should be a valid dictionary or instance of Cat"),
    ],
)
def test_what_does_not_fit_is_named(value: Any, text: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        decode_payload(encode(value), Cat)
    assert text in str(caught.value)
    assert "many" not in str(caught.value)


def test_no_more_than_a_few_faults_are_named() -> None:
    wide = create_model("Wide", **{f"f{n}": (int, ...) for n in range(9)})
    with pytest.raises(InvalidPayload, match=r"f4: .*; and 4 more$"):
        decode_payload(b"{}", wide)


class Currency(enum.Enum):
    EUR = "eur"


def test_a_changed_class_is_validated_against_the_stored_fields() -> None:
    fields = {"id": (UUID, ...), "at": (dt.date, ...), "sum": (Decimal, ...)}
    old = version("Bill", **fields, money=(Currency, Currency.EUR), note=(str | None, None))
    sent = old(id=UUID(int=3), at=dt.date(2020, 1, 2), sum="1.10")
    row = encode_payload(sent)

    wider = version("Bill", **fields, money=(Currency, Currency.EUR), extra=(int, 7))
    back = decode_payload(row, wider)
    assert type(back) is wider
    assert (back.id, back.money, back.extra) == (UUID(int=3), Currency.EUR, 7)
    assert str(back.sum) == "1.10"
    assert back.model_fields_set == {"id", "at", "sum"}

    narrower = version("Bill", **fields, customer=(str, ...))
    with pytest.raises(InvalidPayload, match="customer: Field required"):
        decode_payload(row, narrower)
    rest = {"money": (Currency, Currency.EUR), "note": (str | None, None)}
    stricter = version("Bill", **fields | {"sum": (Decimal, Field(gt=5))}, **rest)
    with pytest.raises(InvalidPayload, match=r"sum: Input should be greater than 5"):
        decode_payload(row, stricter)
    other = version("Bill", **fields | {"at": (list, ...)})
    with pytest.raises(InvalidPayload, match="at: Input should be a valid list"):
        decode_payload(row, Cat | other)


def test_a_change_further_in_is_found_too() -> None:
    def bill(line: Any) -> Any:
        return version("Bill", lines=(list[line], ...))

    old, new = version("Line", n=(int, 1)), version("Line", n=(int, 1), price=(int, ...))
    row = encode_payload(bill(old)(lines=[{"n": 2}]))
    assert decode_payload(row, bill(old)).lines[0].n == 2
    with pytest.raises(InvalidPayload, match=r"lines\.0\.price: Field required"):
        decode_payload(row, bill(new))


def test_a_class_that_moved_is_known_by_its_name() -> None:
    here = create_model("Moved", __module__="old_place", n=(int, 0))
    there = create_model("Moved", __module__="new_place", n=(int, 0))
    twin = create_model("Twin", n=(int, 0))
    back = decode_payload(encode_payload(here(n=1)), twin | there)
    assert (type(back), back.n) == (there, 1)
    row = encode_payload(shapes.Box[here](item=here(n=1)))
    back = decode_payload(row, shapes.Box[twin] | shapes.Box[there])
    assert (type(back), type(back.item)) == (shapes.Box[there], there)


def test_a_class_that_is_not_in_the_annotation_fits_by_its_fields() -> None:
    gone = version("Gone", name=(str, ...))
    assert decode_payload(encode_payload(gone(name="x")), Cat) == Cat(name="x")
    assert decode_payload(encode_payload(gone(name="x")), Any) == {"name": "x"}
    with pytest.raises(InvalidPayload):
        decode_payload(encode_payload(gone(name="x")), shapes.Order)


def test_a_model_for_a_workflow_that_takes_a_dict() -> None:
    box = shapes.Box[Cat](item=Cat(name="x"))
    assert decode_payload(encode_payload(box), dict) == {
        "item": {"name": "x", "lives": 9},
        "more": [],
    }


def test_generic_payloads() -> None:
    box = shapes.Box[Cat](item=Cat(name="x"))
    for annotation in (shapes.Box[Cat], shapes.Box[int] | shapes.Box[Cat]):
        assert same(decode_payload(encode_payload(box), annotation), box)
    with pytest.raises(InvalidPayload, match="item: "):
        decode_payload(encode_payload(box), shapes.Box[int])


def test_a_validator_that_breaks_is_an_invalid_payload() -> None:
    row = encode({"words": 7})
    with pytest.raises(InvalidPayload, match="AttributeError"):
        decode_payload(row, shapes.Strange)


def test_a_changed_root_model() -> None:
    row = encode_payload(shapes.Numbers([1, 2])).replace(b'"h":"', b'"h":"x')
    assert decode_payload(row, shapes.Numbers) == shapes.Numbers([1, 2])


def test_a_payload_can_be_read_as_a_value() -> None:
    assert decode(encode_payload(Cat(name="x"))) == Cat(name="x")


def test_local_classes() -> None:
    class Local(BaseModel):
        n: int

    row = encode_payload(Local(n=1))
    assert decode_payload(row, Local) == Local(n=1)
    assert decode_payload(row, Any) == {"n": 1}
