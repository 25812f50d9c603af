"""Column types that mean the same on every database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import LargeBinary, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles

MYSQL = frozenset({"mysql", "mariadb"})


class AnyBytes(LargeBinary):
    """Bytes, also where SQLite holds text, which it takes in any column.

    The driver's own type raises then, and hides all the other rows of the query.
    """

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """Makes bytes of what the driver gives."""
        return _as_bytes


def _as_bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return str(value).encode("utf-8", "surrogatepass")


class _Exact(mysql.VARCHAR):
    """Text in which case, accents and blanks at the end count."""


@compiles(_Exact, "mysql")
@compiles(_Exact, "mariadb")
def _exact(element: Any, compiler: Any, **kw: Any) -> str:
    # ``utf8mb4_bin``, which both have, takes "a" and "a " for the same key.
    collation = "utf8mb4_nopad_bin" if compiler.dialect.is_mariadb else "utf8mb4_0900_bin"
    return f"VARCHAR({element.length}) CHARACTER SET utf8mb4 COLLATE {collation}"


def exact(length: int) -> String:
    """Text that is compared byte for byte, as MySQL's default collations do not."""
    return String(length).with_variant(_Exact(length), "mysql", "mariadb")


# Three of them, and a number, are just not too long for an index of MySQL.
Key = exact(255)
Blob = AnyBytes().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
# A plain one ends after 64 KB there.
LongText = Text().with_variant(mysql.LONGTEXT(charset="utf8mb4"), "mysql", "mariadb")
