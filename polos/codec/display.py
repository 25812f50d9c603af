"""Values as data that any JSON parser reads, for people and for other programs."""

from __future__ import annotations

import dataclasses
import json
import math
from base64 import b64encode
from datetime import date, time, timedelta
from enum import Enum
from typing import Any

from pydantic import BaseModel, RootModel, TypeAdapter

_DURATION: TypeAdapter[timedelta] = TypeAdapter(timedelta)


def plain(value: Any) -> Any:
    """A value as None, bool, int, float, str, list and dict only. There is no way back.

    Models and dataclasses become dicts, tuples and sets lists, enum members their values, bytes
    base64, inf and nan their names, times ISO 8601, and everything else its text.

    Args:
        value: any value that can be kept.

    Example:
        >>> plain({"at": date(2030, 1, 2), "lines": (1, 2)})
        {'at': '2030-01-02', 'lines': [1, 2]}
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, dict):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _plain_model(value)
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names if hasattr(value, name)}
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, timedelta):
        return json.loads(_DURATION.dump_json(value))
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def _plain_model(value: BaseModel) -> Any:
    if isinstance(value, RootModel):
        return plain(value.root)
    names = (*type(value).model_fields, *(value.model_extra or ()))
    return {name: plain(getattr(value, name)) for name in names}


def _key(key: Any) -> str:
    return key if type(key) is str else str(plain(key))
