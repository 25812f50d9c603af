"""Classes of every kind whose instances can be kept."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import ipaddress
import pathlib
from collections import OrderedDict
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import pydantic.dataclasses
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    HttpUrl,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_validator,
)

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    OBJECT = dt.date(2020, 1, 1)
    ALIAS = "red"


class Size(enum.IntEnum):
    S = 1
    L = 3


class Mood(enum.StrEnum):
    GOOD = "good"
    BAD = "bad"


class Right(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Bits(enum.IntFlag):
    A = 1
    B = 2


class Opaque(enum.Enum):
    THING = object()


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = None
    norm: float = dataclasses.field(init=False, default=0.0)
    note: Any = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.note = [self.x]


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: Any
    b: Any = ()


@dataclasses.dataclass(slots=True)
class Slotted:
    a: Any
    b: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlotted(Frozen):
    c: Any = 1


@dataclasses.dataclass
class Guarded:
    __slots__ = ("_Guarded__hidden", "__shy", "x")
    x: int

    def __post_init__(self) -> None:
        self.__shy = [self.x]

    @property
    def shy(self) -> list[int]:
        return self.__shy


@dataclasses.dataclass
class Measured:
    """A field whose value a property keeps elsewhere."""

    size: int

    @property
    def size(self) -> int:  # noqa: F811
        return self._size

    @size.setter
    def size(self, value: int) -> None:
        self._size = value


@dataclasses.dataclass
class Lazy:
    a: int

    @cached_property
    def double(self) -> object:
        return object()


@dataclasses.dataclass
class Pair(Generic[T]):
    one: T
    other: T


@pydantic.dataclasses.dataclass
class Checked:
    path: pathlib.Path
    n: int = 0


@dataclasses.dataclass
class Trouble(Exception):
    code: int


class Base(BaseModel):
    name: str = "base"


class Derived(Base):
    model_config = ConfigDict(frozen=True)
    level: int = 1


class Anything(BaseModel):
    """A model that holds anything, extra values and private ones too."""

    model_config = ConfigDict(extra="allow")
    value: Any = None
    base: Base | None = None
    _hidden: Any = PrivateAttr(default=None)
    _unset: int = PrivateAttr()


class Order(BaseModel):
    id: UUID
    total: Decimal
    at: dt.datetime
    tags: set[str] = set()
    sizes: dict[Size, int] = {}
    by_number: dict[int, list[Base]] = {}
    label: str = Field(default="", alias="Label")

    @computed_field
    @property
    def shout(self) -> str:
        return self.label.upper()

    @computed_field
    @cached_property
    def length(self) -> int:
        return len(self.label)


class Numbers(RootModel[list[int]]):
    pass


class Sealed(RootModel[int]):
    _seal: str = PrivateAttr(default="wax")


class Box(BaseModel, Generic[T]):
    item: T
    more: list[T] = []


# Made here first, so that pickle finds it by its name in this module.
BoxOfInt = Box[int]


class Node(BaseModel):
    value: int = 0
    next: Node | None = None


class Foreign(BaseModel):
    path: pathlib.Path = pathlib.Path("a")
    url: HttpUrl | None = None
    address: ipaddress.IPv4Address | None = None
    paths: list[pathlib.Path] = []
    mixed: list[float | pathlib.Path] = []
    ordered: OrderedDict[str, float] | None = None
    file: FilePath | None = None
    secret: SecretStr | None = None
    anything: Any = None


class Strange(BaseModel):
    """Validators that don't accept their own output, and count how often they run."""

    words: Annotated[list[str], BeforeValidator(lambda text: text.split(","))]
    calls: int = 0

    @field_validator("calls")
    @classmethod
    def _count(cls, value: int) -> int:
        return value + 1


class Demanding(BaseModel):
    model_config = ConfigDict(validate_by_name=True)
    a: int = Field(alias="A")
