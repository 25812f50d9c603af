"""What the database saw, in its own order: triggers that the test puts on Polos's tables.

A claim and a checkpoint of one execution lock the same row, so their numbers are in the order of
their commits, if the fence does what it should.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

_TABLE = {
    "postgresql": "seq BIGSERIAL PRIMARY KEY",
    "sqlite": "seq INTEGER PRIMARY KEY AUTOINCREMENT",
}
_COLUMNS = "at DOUBLE PRECISION, what TEXT, execution TEXT, token TEXT, detail TEXT"
_NOW = {
    "postgresql": "extract(epoch from clock_timestamp())",
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
}
# The token is the old one where a lease ends: its owner's.
_LEASE = (
    "INSERT INTO chaos_audit(at, what, execution, token, detail) VALUES ({now}, "
    "CASE WHEN NEW.lease_token IS NULL THEN NEW.status ELSE 'claim' END, NEW.id, "
    "coalesce(NEW.lease_token, OLD.lease_token), coalesce(NEW.lease_owner, ''));"
)
_CHECKPOINT = (
    "INSERT INTO chaos_audit(at, what, execution, token, detail) SELECT {now}, 'checkpoint', "
    "NEW.execution_id, e.lease_token, NEW.step_key FROM polos_executions e "
    "WHERE e.id = NEW.execution_id;"
)


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the audit.

    Attributes:
        what: ``claim``, ``checkpoint``, or the status in which a lease ended.
        token: of the lease.
        detail: the owner of a claim, the key of a checkpoint.
    """

    seq: int
    at: float
    what: str
    execution: str
    token: str | None
    detail: str


def install(engine: Engine) -> None:
    """Put the triggers on the tables, which are there already, and what steps write beside them."""
    dialect = engine.dialect.name
    now = _NOW[dialect]
    lease, checkpoint = _LEASE.format(now=now), _CHECKPOINT.format(now=now)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE chaos_audit ({_TABLE[dialect]}, {_COLUMNS})"))
        connection.execute(text("CREATE TABLE chaos_writings (execution TEXT, step TEXT)"))
        for statement in _triggers(dialect, lease, checkpoint):
            connection.exec_driver_sql(statement)


def _triggers(dialect: str, lease: str, checkpoint: str) -> list[str]:
    if dialect == "sqlite":
        return [
            "CREATE TRIGGER chaos_lease AFTER UPDATE OF lease_token ON polos_executions "
            f"WHEN OLD.lease_token IS NOT NEW.lease_token BEGIN {lease} END",
            "CREATE TRIGGER chaos_checkpoint AFTER INSERT ON polos_checkpoints "
            f"BEGIN {checkpoint} END",
        ]
    function = (
        "CREATE FUNCTION chaos_{name}() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN {body} RETURN NULL; END $$"
    )
    return [
        function.format(name="lease", body=lease),
        function.format(name="checkpoint", body=checkpoint),
        "CREATE TRIGGER chaos_lease AFTER UPDATE ON polos_executions FOR EACH ROW "
        "WHEN (OLD.lease_token IS DISTINCT FROM NEW.lease_token) EXECUTE FUNCTION chaos_lease()",
        "CREATE TRIGGER chaos_checkpoint AFTER INSERT ON polos_checkpoints FOR EACH ROW "
        "EXECUTE FUNCTION chaos_checkpoint()",
    ]


def events(connection: Connection) -> list[Event]:
    """All of it, in the order of its numbers."""
    query = "SELECT seq, at, what, execution, token, detail FROM chaos_audit ORDER BY seq"
    return [Event(*row) for row in connection.execute(text(query))]
