"""What nothing built on these servers can be faster than, by the plainest code there is."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import psycopg

from benchmarks.contest.measuring import Samples, Sizes

# As wide as the row of a checkpoint.
_TABLE = (
    "CREATE TABLE IF NOT EXISTS floor (execution varchar(36), step varchar(64), number integer,"
    " value {bytes}, PRIMARY KEY (execution, step))"
)
_VALUE = b'{"v":1}'


def postgres(url: str, sizes: Sizes) -> Samples:
    """Insert and commit: seconds of each, and how many a second on one and two connections."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE.format(bytes="bytea"))
        connection.execute("TRUNCATE floor")
    seconds = insert(url, 0, sizes.inserts)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(insert, [url] * 2, [1, 2], [10] * 2))  # both are up
        began = time.perf_counter()
        list(pool.map(insert, [url] * 2, [3, 4], [sizes.inserts] * 2))
        took = time.perf_counter() - began
    return {
        "insert": seconds,
        "insert_rate_1": [len(seconds) / sum(seconds)],
        "insert_rate_2": [2 * sizes.inserts / took],
    }


def insert(url: str, writer: int, count: int) -> list[float]:
    """Insert so many rows, each committed, by a prepared statement; seconds of each."""
    with psycopg.connect(url, autocommit=True) as connection:
        seconds = []
        statement = "INSERT INTO floor VALUES (%s, %s, %s, %s)"
        for number in range(-10, count):
            row = (f"{writer:036}", f"s{number}", number, _VALUE)
            began = time.perf_counter()
            connection.execute(statement, row, prepare=True)
            seconds.append(time.perf_counter() - began)
        return seconds[10:]


def sqlite(folder: Path, sizes: Sizes) -> Samples:
    """Insert and commit in WAL mode with ``synchronous=FULL``: seconds of each."""
    path = folder / f"floor-{time.monotonic_ns()}.db"
    seconds = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(_TABLE.format(bytes="blob"))
        for number in range(sizes.inserts):
            began = time.perf_counter()
            row = ("0" * 36, f"s{number}", number, _VALUE)
            connection.execute("INSERT INTO floor VALUES (?, ?, ?, ?)", row)
            seconds.append(time.perf_counter() - began)
    return {"sqlite_insert": seconds}
