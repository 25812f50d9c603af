"""Single values that JSON doesn't have, as tagged JSON objects and back.

A tagged value is a JSON object whose key ``$`` names its kind; ``v`` holds its content.
Datetimes and times carry their zone in ``z``: ``{"key": …}`` of the zone database, the offset
``[microseconds, name]``, or ``{"seconds": …}`` for what Pydantic makes of text.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic_core import TzInfo

from polos.codec.refusal import Refused, name_of

TAG = "$"
Record = dict[str, Any]
Moment = TypeVar("Moment", datetime, time)

# Python refuses decimal text of 4,300 digits, or of 640 where that limit is set to its lowest.
_LONGEST_DECIMAL_BITS = 2_000


def _pack_int(value: int, depth: int) -> Any:
    if value.bit_length() <= _LONGEST_DECIMAL_BITS:
        return value
    return {TAG: "int", "v": hex(value)}


def _pack_float(value: float, depth: int) -> Any:
    return value if math.isfinite(value) else {TAG: "float", "v": repr(value)}


def _pack_bytes(value: bytes, depth: int) -> Record:
    return {TAG: "bytes", "v": b64encode(value).decode("ascii")}


def _pack_date(value: date, depth: int) -> Record:
    return {TAG: "date", "v": value.isoformat()}


def _pack_timedelta(value: timedelta, depth: int) -> Record:
    return {TAG: "timedelta", "v": [value.days, value.seconds, value.microseconds]}


def _pack_decimal(value: Decimal, depth: int) -> Record:
    return {TAG: "decimal", "v": str(value)}


def _pack_uuid(value: UUID, depth: int) -> Record:
    return {TAG: "uuid", "v": str(value)}


def _pack_datetime(value: datetime, depth: int) -> Record:
    return _with_zone({TAG: "datetime", "v": value.replace(tzinfo=None).isoformat()}, value)


def _pack_time(value: time, depth: int) -> Record:
    return _with_zone({TAG: "time", "v": value.replace(tzinfo=None).isoformat()}, value)


def _with_zone(record: Record, value: datetime | time) -> Record:
    if value.tzinfo is not None:
        record["z"] = _pack_zone(value.tzinfo)
    if value.fold:
        record["fold"] = 1
    return record


def _pack_zone(zone: tzinfo) -> Any:
    if type(zone) is ZoneInfo and zone.key:
        return {"key": zone.key}
    if type(zone) is TzInfo:
        return {"seconds": _offset(zone) // timedelta(seconds=1)}
    if type(zone) is timezone:
        return _pack_offset(zone)
    raise Refused(name_of(type(zone)))


def _pack_offset(zone: timezone) -> list[Any]:
    offset, name = _offset(zone), zone.tzname(None)
    micros = offset // timedelta(microseconds=1)
    return [micros] if name == timezone(offset).tzname(None) else [micros, name]


def _offset(zone: tzinfo) -> timedelta:
    return zone.utcoffset(None) or timedelta()


def _unpack_zone(zone: Any) -> tzinfo | None:
    if zone is None:
        return None
    if isinstance(zone, list):
        # The offset 0 without a name is the one object datetime.UTC.
        return timezone(timedelta(microseconds=zone[0]), *zone[1:])
    # ZoneInfo reads files, so nothing but a plain key may reach it; it checks the key itself.
    return ZoneInfo(zone["key"]) if "key" in zone else TzInfo(zone["seconds"])


def _placed(value: Moment, record: Record) -> Moment:
    return value.replace(tzinfo=_unpack_zone(record.get("z")), fold=record.get("fold", 0))


PACK_SCALAR: dict[type, Callable[[Any, int], Any]] = {
    int: _pack_int,
    float: _pack_float,
    bytes: _pack_bytes,
    datetime: _pack_datetime,
    time: _pack_time,
    date: _pack_date,
    timedelta: _pack_timedelta,
    Decimal: _pack_decimal,
    UUID: _pack_uuid,
}

UNPACK_SCALAR: dict[str, Callable[[Record], Any]] = {
    "int": lambda record: int(record["v"], 16),
    "float": lambda record: float(record["v"]),
    "bytes": lambda record: b64decode(record["v"], validate=True),
    "datetime": lambda record: _placed(datetime.fromisoformat(record["v"]), record),
    "time": lambda record: _placed(time.fromisoformat(record["v"]), record),
    "date": lambda record: date.fromisoformat(record["v"]),
    "timedelta": lambda record: timedelta(*record["v"]),
    "decimal": lambda record: Decimal(record["v"]),
    "uuid": lambda record: UUID(record["v"]),
}
