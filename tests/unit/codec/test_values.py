from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import json
import math
import pathlib
import sys
import types
from typing import Annotated, Any, NamedTuple, NewType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel

from polos.codec import decode, encode
from polos.errors import CodecError, UnknownType, UnsupportedType, ValueTooLarge
from tests.unit.codec import shapes
from tests.unit.codec.strategies import same, values

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def there_and_back(value: Any, hint: Any = Any) -> Any:
    return decode(encode(value), hint)


@settings(max_examples=400, deadline=None, suppress_health_check=SLOW)
@given(values())
def test_every_value_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    data = encode(value)
    back = decode(data)
    assert same(back, value)
    assert encode(back) == data


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(values())
def test_the_bytes_are_json_that_any_parser_reads(value: Any) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads(encode(value).decode("utf-8", "surrogatepass"), parse_constant=refuse)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ({"a": [1, 2.5, "x", True]}, '{"a":[1,2.5,"x",true]}'),
        ((1,), '{"$":"tuple","v":[1]}'),
        ({"$": 1}, '{"$":"dict","v":[["$",1]]}'),
        ({"b", "a"}, '{"$":"set","v":["a","b"]}'),
        (math.inf, '{"$":"float","v":"inf"}'),
    ],
)
def test_the_form_of_the_bytes(value: Any, text: str) -> None:
    assert encode(value) == text.encode()


def test_plain_data_is_not_copied_and_never_changed() -> None:
    value = {"a": [(1,)], "b": {"c": {1}}}
    before = repr(value)
    encode(value)
    assert repr(value) == before


@pytest.mark.parametrize(
    ("value", "name", "where"),
    [
        ({"items": [1, 2, 3, object()]}, "object", "$.items[3]"),
        (collections.OrderedDict(a=1), "collections.OrderedDict", "$"),
        ([collections.defaultdict(int)], "collections.defaultdict", "$[0]"),
        (NamedTuple("P", [("x", int)])(1), "tests.unit.codec.test_values.P", "$"),
        ({"a b": (x for x in ())}, "generator", "$['a b']"),
        ((1, len), "builtin_function_or_method", "$[1]"),
        ({"a": {1: 2}}, "dict with int keys", "$.a"),
        ({(1,): 2}, "dict with tuple keys", "$"),
        (bytearray(b"x"), "bytearray", "$"),
        (1j, "complex", "$"),
        (shapes.Base, "pydantic._internal._model_construction.ModelMetaclass", "$"),
        (pathlib.PurePosixPath("x"), None, "$"),
        (shapes.Point(x=[object]), "type", "$.x[0]"),
        (shapes.Anything(value={"k": object()}), "object", "$.value.k"),
        (shapes.Anything(odd=object()), "object", "$.odd"),
        (shapes.Foreign(secret="x"), "pydantic.types.SecretStr", "$.secret"),
        (shapes.Foreign(anything=pathlib.PurePosixPath("x")), None, "$.anything"),
        (shapes.Trouble(3), "tests.unit.codec.shapes.Trouble", "$"),
        ({"e": [frozenset({ValueError})]}, "type", "$.e[0][0]"),
    ],
)
def test_what_cant_be_kept_is_named_with_its_place(
    value: Any, name: str | None, where: str
) -> None:
    with pytest.raises(UnsupportedType) as caught:
        encode(value)
    assert caught.value.where == where
    assert name is None or caught.value.type_name == name


def test_subclasses_of_builtins_are_refused() -> None:
    for base in (str, int, float, list, dict, tuple, set, bytes):
        kind = type("Own", (base,), {})
        with pytest.raises(UnsupportedType):
            encode([kind()])
    with pytest.raises(UnsupportedType):
        encode({type("Own", (str,), {})("k"): 1})


def test_zones_that_have_no_key_are_refused() -> None:
    class Zone(dt.tzinfo):
        pass

    with pytest.raises(UnsupportedType) as caught:
        encode([dt.datetime(2020, 1, 1, tzinfo=Zone())])
    assert caught.value.where == "$[0]"


def test_a_recursive_value_is_a_clear_error() -> None:
    loop: list[Any] = []
    loop.append(loop)
    node = shapes.Node()
    node.next = node
    held = shapes.Anything()
    held.value = {"me": [held]}
    point = shapes.Point(1)
    point.x = (point,)
    for value in (loop, node, held, point):
        with pytest.raises(CodecError, match="contains itself"):
            encode(value)


def test_what_is_nested_just_not_too_deeply_can_be_read_again() -> None:
    deep: Any = 0
    for _ in range(200):
        deep = (deep,)
    assert decode(encode(deep)) == deep
    node = shapes.Node()
    for number in range(90):
        node = shapes.Node(value=number, next=node)
    assert decode(encode(node)) == node
    with pytest.raises(CodecError, match="nested"):
        encode((deep, (deep,)))


def test_no_stack_left_is_a_codec_error() -> None:
    deep: Any = 0
    for _ in range(190):
        deep = [deep]

    def climb(levels: int) -> Any:
        return climb(levels - 1) if levels else encode(deep)

    limit = sys.getrecursionlimit()
    frames = len(list(_frames()))
    try:
        climb(limit - frames - 60)
    except (CodecError, RecursionError) as error:
        assert isinstance(error, CodecError)


def _frames() -> Any:
    frame: types.FrameType | None = sys._getframe()
    while frame:
        yield frame
        frame = frame.f_back


def test_a_value_over_the_limit() -> None:
    assert encode("x" * 8, limit=10)
    with pytest.raises(ValueTooLarge) as caught:
        encode("é" * 5, limit=11)
    assert (caught.value.size, caught.value.limit) == (12, 11)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"nul",
        b"\xff",
        b'{"$":"no such kind"}',
        b'{"$":["tuple"]}',
        b'{"$":{}}',
        b'{"$":"tuple"}',
        b'{"$":"tuple","v":3}',
        b'{"$":"set","v":[[]]}',
        b'{"$":"dict","v":[1]}',
        b'{"$":"int","v":"zz"}',
        b'{"$":"decimal","v":"zz"}',
        b'{"$":"decimal","v":[]}',
        b'{"$":"bytes","v":"?"}',
        b'{"$":"datetime","v":"yesterday"}',
        b'{"$":"datetime","v":"2020-01-01T00:00:00","z":[999999999999999999999999]}',
        b'{"$":"time","v":"00:00","z":{"key":"../../etc/passwd"}}',
        b'{"$":"datetime","v":"2020-01-01T00:00:00","z":{"key":"No/Where"}}',
        b'{"$":"timedelta","v":[1e300]}',
        b'{"$":"uuid","v":"1"}',
        b'{"$":"model","t":"tests.unit.codec.shapes:Base"}',
        b'{"$":"model","t":"tests.unit.codec.shapes:Base","f":[1]}',
        b'{"$":"model","t":"tests.unit.codec.shapes:Base","f":{},"s":5}',
        b'{"$":"model","t":"tests.unit.codec.shapes:Base","f":{},"s":[[]]}',
        b'{"$":"model","t":"tests.unit.codec.shapes:Foreign","f":{},"k":{"path":["bare","{"]}}',
        b'{"$":"model","t":["tests.unit.codec.shapes:Box"],"f":{}}',
        b'{"$":"model","t":[],"f":{}}',
        b'{"$":"model","t":5,"f":{}}',
        b'{"$":"dataclass","t":"tests.unit.codec.shapes:Base","f":{}}',
        b'{"$":"enum","t":"tests.unit.codec.shapes:Size","n":"XL","v":9}',
        b'{"$":"enum","t":"tests.unit.codec.shapes:Size"}',
        b"[" * 100_000,
        "é".encode("latin-1"),
    ],
)
def test_damaged_data_is_a_codec_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data)
    with pytest.raises(CodecError):
        decode(b"[" + data)


def test_text_is_no_data() -> None:
    with pytest.raises(CodecError, match="damaged"):
        decode("null")


def test_buffers_of_drivers_are_data() -> None:
    assert decode(memoryview(b"[1]")) == [1]


# -- classes ---------------------------------------------------------------------------------


def local_classes() -> Any:
    class Inner(BaseModel):
        n: int

    class Outer(BaseModel):
        inner: Inner

    @dataclasses.dataclass
    class Data:
        inner: Inner

    class Kind(enum.Enum):
        ONE = 1

    return types.SimpleNamespace(
        Inner=Inner, Outer=Outer, Data=Data, Kind=Kind, Box=shapes.Box[Inner]
    )


def test_local_classes_are_found_by_annotation_only() -> None:
    known = local_classes()
    inner = known.Inner(n=1)
    for value, hint in [
        (inner, known.Inner),
        (inner, list[known.Outer] | None),
        (inner, Annotated[dict[str, known.Outer], "note"]),
        (inner, (int, known.Inner)),
        (inner, NewType("N", known.Inner)),
        (known.Data(inner), (known.Data, known.Inner)),
        (known.Kind.ONE, tuple[known.Kind, ...]),
        (known.Box(item=inner), known.Box),
        (known.Box(item=inner), known.Inner),
        ([known.Outer(inner=inner)], list[known.Outer]),
    ]:
        assert same(there_and_back(value, hint), value)
        with pytest.raises(UnknownType):
            there_and_back(value)


def test_unknown_classes_become_plain_data_where_that_is_wanted() -> None:
    known = local_classes()
    inner = known.Inner(n=1)
    value = {
        "model": known.Outer(inner=inner),
        "data": known.Data(inner),
        "enum": known.Kind.ONE,
        "known": shapes.Size.L,
    }
    assert decode(encode(value), lenient=True) == {
        "model": {"inner": {"n": 1}},
        "data": {"inner": {"n": 1}},
        "enum": 1,
        "known": shapes.Size.L,
    }


def test_leniently_a_set_of_unknown_instances_is_a_list() -> None:
    data = b'{"$":"set","v":[{"$":"dataclass","t":"gone:X","f":{"a":1}}]}'
    assert decode(data, lenient=True) == [{"a": 1}]


def test_leniently_an_unknown_root_model_is_its_root() -> None:
    data = encode(shapes.Numbers([1])).replace(b"Numbers", b"Gone")
    assert decode(data, lenient=True) == [1]


def test_the_unknown_type_is_named() -> None:
    with pytest.raises(UnknownType) as caught:
        decode(b'{"$":"model","t":["shop:Box","int",["list","shop:Item"]],"f":{}}')
    assert caught.value.type_name == "shop:Box"


def test_nothing_is_imported_because_a_name_says_so() -> None:
    sys.modules.pop("this", None)
    module = types.ModuleType("lazy_module")
    module.__dict__["__getattr__"] = lambda name: pytest.fail("asked the module for a name")
    sys.modules["lazy_module"] = module
    try:
        for name in ("this:C", "lazy_module:C", "lazy_module:C.D"):
            with pytest.raises(UnknownType):
                decode(json.dumps({"$": "model", "t": name, "f": {}}).encode())
    finally:
        del sys.modules["lazy_module"]
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    "name", ["os:system", "builtins:dict", "subprocess:Popen", "polos.errors:CodecError", "os", ""]
)
@pytest.mark.parametrize("kind", ["model", "dataclass", "enum"])
def test_only_classes_of_the_right_kind_are_made(name: str, kind: str) -> None:
    with pytest.raises(UnknownType):
        decode(json.dumps({"$": kind, "t": name, "f": {}, "n": "x", "v": 1}).encode())


def _twin(module: str) -> type[BaseModel]:
    class Twin(BaseModel):
        n: int = 0

    Twin.__module__, Twin.__qualname__ = module, "Twin"
    return Twin


def test_a_class_of_the_main_program_is_its_importable_self() -> None:
    main, shop, other = _twin("__main__"), _twin("shop"), _twin("other")
    assert type(there_and_back(main(n=1), shop)) is shop
    assert type(there_and_back(shop(n=1), main)) is main
    assert type(there_and_back(shop(n=1), (main, shop))) is shop
    with pytest.raises(UnknownType):
        there_and_back(shop(n=1), other)
    with pytest.raises(UnknownType):
        there_and_back(main(n=1), (shop, other))


def test_generics_are_made_again_where_nobody_made_them_yet() -> None:
    data = encode(shapes.Box[int](item=1)).replace(b'"int"', b'["dict","str",["|","date","None"]]')
    back = decode(data)
    assert type(back) is shapes.Box[dict[str, dt.date | None]]


# -- models and dataclasses ------------------------------------------------------------------


def test_models_come_back_without_their_validators() -> None:
    value = shapes.Strange(words="a,b")
    assert value.calls == 0
    value = shapes.Strange(words="a,b", calls=1)
    back = there_and_back(value)
    assert (back.words, back.calls, back.model_fields_set) == (["a", "b"], 2, {"words", "calls"})


def test_a_model_that_its_validators_would_refuse() -> None:
    value = shapes.Base.model_construct(name=7)
    assert there_and_back(value).name == 7


def test_subclasses_private_values_and_given_fields_of_models() -> None:
    value = shapes.Anything(base=shapes.Derived(level=5), more=(1,))
    value._hidden = {"x": {1}}
    back = there_and_back(value)
    assert same(back, value)
    assert type(back.base) is shapes.Derived
    assert back.model_fields_set == {"base", "more"}
    assert back._hidden == {"x": {1}}
    assert not hasattr(back, "_unset")


def test_private_values_get_their_defaults() -> None:
    data = b'{"$":"model","t":"tests.unit.codec.shapes:Sealed","f":{"root":1},"r":true}'
    assert decode(data)._seal == "wax"


def test_computed_values_are_computed_again() -> None:
    value = shapes.Order(id="0" * 32, total=1, at=dt.datetime(2020, 1, 1), Label="abc")
    assert value.length == 3
    back = there_and_back(value)
    assert back == value
    assert "length" not in vars(back)
    assert back.model_dump(by_alias=True) == value.model_dump(by_alias=True)


def test_fields_that_only_pydantic_knows(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "x"
    file.touch()
    value = shapes.Foreign(
        path="/a",
        url="https://example.com/x?y",
        address="127.0.0.1",
        paths=["b", "c"],
        ordered={"b": math.inf, "a": 1.5},
        file=file,
    )
    data = encode(value)
    # The file need not be there any more.
    file.unlink()
    back = decode(data)
    assert same(back, value)
    assert list(back.ordered) == ["b", "a"]
    assert back.model_dump_json() == value.model_dump_json()


def test_a_field_that_would_come_back_as_another_type_is_refused() -> None:
    value = shapes.Foreign(mixed=[1.0, "x"])
    assert same(there_and_back(value), value)
    for changed in ([True, pathlib.Path("x")], (1.0, pathlib.Path("x"))):
        with pytest.raises(UnsupportedType):
            encode(shapes.Foreign.model_construct(mixed=changed))


def test_a_field_of_such_a_type_in_a_pydantic_dataclass() -> None:
    value = shapes.Checked(path="x", n=1)
    assert there_and_back(value) == value


def test_dataclasses_keep_all_that_was_set_on_them() -> None:
    value = shapes.Point(1)
    value.note = ["changed"]
    value.added = {1}
    back = there_and_back(value)
    assert same(back, value)
    assert back.added == {1}


def test_cached_properties_are_no_part_of_a_value() -> None:
    value = shapes.Lazy(1)
    assert value.double
    assert vars(there_and_back(value)) == {"a": 1}


def test_slots_and_properties_of_dataclasses() -> None:
    assert there_and_back(shapes.Guarded(1)).shy == [1]
    back = there_and_back(shapes.Measured(3))
    assert (back.size, vars(back)) == (3, {"_size": 3})


def test_fields_that_are_not_set_stay_so() -> None:
    model = there_and_back(shapes.Box[int].model_construct())
    assert vars(model) == {"more": []}
    point = shapes.Point(1)
    del point.note
    assert not hasattr(there_and_back(point), "note")


def test_a_refusal_far_inside_models_is_quick() -> None:
    value = shapes.Anything(value=object())
    for _ in range(40):
        value = shapes.Anything(value=value)
    with pytest.raises(UnsupportedType) as caught:
        encode(value)
    assert caught.value.where == "$" + ".value" * 41


def test_pair_of_a_parametrised_dataclass() -> None:
    value = shapes.Pair[int](1, 2)
    assert there_and_back(value) == value


def _changed(value: Any, old: bytes, new: bytes) -> bytes:
    data = encode(value)
    assert old in data
    return data.replace(old, new)


def test_new_fields_get_their_defaults() -> None:
    model = _changed(shapes.Derived(level=2), b'"name":"base",', b"")
    assert decode(model) == shapes.Derived(level=2)
    point = _changed(shapes.Point(1, 2), b'"y":2,"norm":0.0,', b"")
    assert decode(point).y is None


def test_new_fields_without_a_default_are_an_error() -> None:
    for data in (
        _changed(shapes.Box[int](item=1), b'"item":1,', b""),
        _changed(shapes.Slotted(1, 2), b'"a":1,', b""),
    ):
        with pytest.raises(CodecError, match=r"field '\w+'"):
            decode(data)
        assert isinstance(decode(data, lenient=True), dict)


def test_enum_members_that_were_renamed_or_renumbered() -> None:
    assert decode(_changed(shapes.Size.L, b'"L"', b'"XL"')) is shapes.Size.L
    assert decode(_changed(shapes.Size.L, b'"v":3', b'"v":4')) is shapes.Size.L


def test_zones_come_back_as_they_were() -> None:
    paris = dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Paris"))
    back = there_and_back(paris)
    assert back.tzinfo is paris.tzinfo
    assert back.fold == 1
    assert there_and_back(dt.datetime(2020, 1, 1, tzinfo=dt.UTC)).tzinfo is dt.UTC


def test_a_limit_on_digits_does_not_matter() -> None:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        for value in (10**639, 2**2000, 2**2000 - 1, 2**2200, -(10**9000)):
            assert there_and_back(value) == value
    finally:
        sys.set_int_max_str_digits(limit)
