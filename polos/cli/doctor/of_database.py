"""What is to be thought of a database: facts in, findings out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from polos.cli.doctor.finding import Finding, error, ok, warning
from polos.model.facts import ClockFacts, ConnectionFacts, FileFacts, PoolerFacts, ServerFacts
from polos.model.workers import WorkerReport

LEAST = {"postgresql": (12,), "mariadb": (10, 6), "mysql": (8, 0), "sqlite": (3, 35)}
_NAMES = {"postgresql": "PostgreSQL", "mariadb": "MariaDB", "mysql": "MySQL", "sqlite": "SQLite"}
_REMOTE = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "gpfs")
# Two clocks that an NTP daemon keeps are closer than this.
_CLOCK_SECONDS = 2.0
_MOST_OF_THEM = 0.8
_MIGRATE = "run 'polos migrate', with the same -A as this command"


def of_server(facts: ServerFacts) -> Iterator[Finding]:
    """The version, the isolation level, and whether it keeps what it acknowledges."""
    yield _of_version(facts)
    if facts.dialect == "sqlite":
        return
    yield _of_isolation(facts)
    if facts.read_only:
        yield error(
            "database",
            "the database refuses writes; it may be a standby",
            "let the database URL name the primary server",
        )
    for name, value in facts.careless.items():
        yield warning(
            "durability",
            f"{name} is {value}: the server may forget acknowledged commits when its machine fails",
            f"turn {name} on, or accept that steps run again after such a failure",
        )
    if not facts.careless:
        yield ok("durability", "the server keeps what it has acknowledged")


def _of_version(facts: ServerFacts) -> Finding:
    least = LEAST.get(facts.dialect)
    name = _NAMES.get(facts.dialect, facts.dialect)
    if least is None:
        return error(
            "version",
            f"{name} is no database that Polos is made for",
            "use PostgreSQL, MariaDB, MySQL or SQLite",
        )
    shown = _dotted(facts.version)
    if facts.version < least:
        return error(
            "version",
            f"{name} {shown} is older than {_dotted(least)}, the oldest that Polos is tested with",
            f"upgrade it to {name} {_dotted(least)} or later",
        )
    return ok("version", f"{name} {shown}")


def _of_isolation(facts: ServerFacts) -> Finding:
    if facts.isolation == "read committed":
        return ok("isolation", "transactions are read committed")
    return error(
        "isolation",
        f"transactions are {facts.isolation or 'of an unknown isolation level'}, so a wake-up may "
        "not see what was committed while it waited for a lock",
        "make 'read committed' the default of this user or database, such as ALTER ROLE ... SET "
        "default_transaction_isolation = 'read committed'",
    )


def of_schema(found: str | None, needed: str) -> Finding:
    """Whether the tables are there, and new enough."""
    if found is None:
        return error("schema", "the database has no tables of Polos", _MIGRATE)
    if found < needed:
        return error("schema", f"the schema is {found}, this code needs {needed}", _MIGRATE)
    newer = " (newer than this code, which is fine)" if found > needed else ""
    return ok("schema", f"schema {found}{newer}")


def of_rights(refusals: Sequence[str] | None) -> Finding | None:
    """Whether the user of the database may do what Polos does."""
    if refusals is None:
        return None
    if not refusals:
        return ok("rights", "the database's user may read and write the tables")
    more = f" and {len(refusals) - 1} more like it" if len(refusals) > 1 else ""
    return error(
        "rights",
        f"the database's user may not do what workers do: {refusals[0]}{more}",
        "grant it SELECT, INSERT, UPDATE and DELETE on the tables polos_*",
    )


def of_clock(facts: ClockFacts) -> Finding:
    """Whether this host and the database agree about the time."""
    off = abs(facts.ahead)
    if off <= _CLOCK_SECONDS + facts.uncertainty:
        return ok("clock", f"this host and the database agree to {max(off, 0.001):.3f} s")
    side = "ahead of" if facts.ahead > 0 else "behind"
    return warning(
        "clock",
        f"the database's clock is {off:.1f} s {side} this host's. Waits follow the database's and "
        "are right, but times in logs, 'eta' and 'expires' of Celery are not",
        "let both hosts set their clocks by NTP",
    )


def of_connections(
    facts: ConnectionFacts, workers: Sequence[WorkerReport], *, pooled: bool
) -> Finding:
    """Whether the server allows as many connections as the workers may ask for."""
    needed = connections_needed(workers)
    if pooled:
        return ok("connections", f"the workers may need {needed}, through the pooler")
    room = f"{facts.used} of {facts.limit} connections are open; the workers may need {needed}"
    if needed > facts.limit:
        return error(
            "connections",
            room,
            "raise max_connections, lower the workers' concurrency, or put PgBouncer in between",
        )
    if max(needed, facts.used) > facts.limit * _MOST_OF_THEM:
        return warning(
            "connections",
            room,
            "raise max_connections before you add workers, or put PgBouncer in between",
        )
    return ok("connections", room)


def connections_needed(workers: Iterable[WorkerReport]) -> int:
    """The most that these workers may have open: two for each slot, one for each sweep.

    A slot executes on one, and its process renews leases on another.
    """
    return sum(2 * worker.slots + 1 for worker in workers)


def of_pooler(facts: PoolerFacts | None) -> Finding | None:
    """What is between here and PostgreSQL."""
    if facts is None:
        return None
    if facts.by_transaction:
        return ok(
            "pooler",
            "a pooler serves by transaction; that works, and ends are asked for, not told",
        )
    if facts.between:
        return ok("pooler", "a pooler serves by session")
    return ok("pooler", "no pooler in between")


def of_collations(columns: Sequence[tuple[str, str, str]]) -> Finding | None:
    """Whether MySQL tells ids and keys apart that differ in case only."""
    if not columns:
        return None
    table, column, collation = columns[0]
    more = f" and {len(columns) - 1} more columns" if len(columns) > 1 else ""
    return error(
        "collation",
        f"{table}.{column} is compared by {collation}{more}: keys that differ in case or accents "
        "only are one to the database",
        f"ALTER TABLE {table} MODIFY {column} VARCHAR(255) CHARACTER SET utf8mb4 COLLATE "
        "utf8mb4_bin (keep its NULL or NOT NULL), for each of them",
    )


def of_file(facts: FileFacts, workers: int) -> Iterator[Finding]:
    """Whether SQLite can be relied on where its file is."""
    if facts.file_system.startswith(_REMOTE):
        yield error(
            "file",
            f"{facts.path} is on {facts.file_system}, a network file system: SQLite's locks don't "
            "hold there, and the database gets damaged",
            "move it to a local disk (POLOS_HOME or POLOS_DATABASE_URL), or use PostgreSQL",
        )
    if facts.journal != "wal":
        yield error(
            "file",
            f"the journal mode of {facts.path} is {facts.journal}, not wal: readers and writers "
            "stop one another",
            "see that the file's folder can be written, and that nothing else sets it",
        )
    if facts.synchronous < 2:
        yield warning(
            "durability",
            "SQLite's synchronous is NORMAL: the last commits may be forgotten when power fails",
            "leave POLOS_SQLITE_SYNCHRONOUS at FULL where that matters",
        )
    if facts.journal == "wal" and not facts.file_system.startswith(_REMOTE):
        yield ok("file", f"{facts.path} ({facts.file_system or 'unknown file system'}, wal)")
    if workers > 1:
        yield warning(
            "file",
            f"{workers} workers share one SQLite file; they write one after the other",
            "use PostgreSQL where they wait for one another",
        )


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))
