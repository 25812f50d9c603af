"""Keys of the HTTP API. Each opens one project; only digests of them are kept."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Row, bindparam, insert, or_, select, update

from polos.errors import StoreError
from polos.model.keys import ApiKey, digest_of, id_in, is_of, new_key
from polos.model.records import SECOND, Micros
from polos.store.clock import now_micros
from polos.store.database import Database
from polos.store.schema import api_keys as table

log = logging.getLogger("polos.store")

# A key that is used all the time must not be written all the time.
_BETWEEN_USES = 60 * SECOND

_by_id = select(table, now_micros().label("now")).where(table.c.id == bindparam("the_id"))
_insert = insert(table).values(created_at=now_micros())
_listed = select(table).order_by(table.c.project_id, table.c.created_at, table.c.id)
_used = (
    update(table)
    .where(
        table.c.id == bindparam("the_id"),
        or_(table.c.used_at.is_(None), table.c.used_at < now_micros() - _BETWEEN_USES),
    )
    .values(used_at=now_micros())
)
_revoke = (
    update(table)
    .where(table.c.id == bindparam("the_id"), table.c.revoked_at.is_(None))
    .values(revoked_at=now_micros())
)


def create(database: Database, project_id: str, name: str) -> tuple[ApiKey, str]:
    """Make a key of a project: what is kept of it, and the key, which can't be had again."""
    id_, key = new_key()
    row = {"id": id_, "project_id": project_id, "name": name, "digest": digest_of(key)}
    database.run(_insert, row)
    made = get(database, id_)
    assert made is not None
    return made, key


def listed(database: Database, project_id: str | None = None) -> tuple[ApiKey, ...]:
    """The keys of a project, or of all, oldest first; those that were revoked as well."""
    of = _listed if project_id is None else _listed.where(table.c.project_id == project_id)
    return tuple(map(_key, database.run(of)))


def get(database: Database, key_id: str) -> ApiKey | None:
    """A key by its id, also one that was revoked."""
    rows = database.run(_by_id, {"the_id": key_id})
    return _key(rows[0]) if rows else None


def revoke(database: Database, key_id: str) -> ApiKey | None:
    """Let a key open nothing any more; one that was revoked stays as it is. None for no such."""
    database.run(_revoke, {"the_id": key_id})
    return get(database, key_id)


def opened_by(database: Database, key: str) -> ApiKey | None:
    """What a key opens: the one that is kept of it; None where it is unknown or was revoked.

    That it was used is noted, once a minute at most.
    """
    id_ = id_in(key)
    if id_ is None:
        return None
    rows = database.run(_by_id, {"the_id": id_})
    if not rows or not is_of(key, rows[0].digest) or rows[0].revoked_at is not None:
        return None
    if rows[0].used_at is None or rows[0].used_at < rows[0].now - _BETWEEN_USES:
        _note_use(database, id_)
    return _key(rows[0])


def _note_use(database: Database, key_id: str) -> None:
    try:
        database.run(_used, {"the_id": key_id})
    except StoreError as error:
        # It is to be known some time; nobody is refused because of it.
        log.debug("the use of key %s is not noted: %s", key_id, error)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        created_at=Micros(row.created_at),
        used_at=None if row.used_at is None else Micros(row.used_at),
        revoked_at=None if row.revoked_at is None else Micros(row.revoked_at),
    )
