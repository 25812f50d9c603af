"""Keys of the HTTP API: what is kept of them, and what they open."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import Update, select, update

from polos.errors import StoreUnavailable
from polos.model.keys import id_in, new_key
from polos.model.records import micros
from polos.store.api_keys import create, get, listed, opened_by, revoke
from polos.store.database import Database
from polos.store.schema import api_keys
from tests.store.scenes import now


def row_of(database: Database, key_id: str) -> Any:
    [row] = database.run(select(api_keys).where(api_keys.c.id == key_id))
    return row


def set_used(database: Database, key_id: str, moment: int) -> None:
    database.run(update(api_keys).where(api_keys.c.id == key_id).values(used_at=moment))


def test_a_key_opens_its_project(database: Database) -> None:
    made, key = create(database, "shop", "ci ü")
    found = opened_by(database, key)
    assert found is not None
    assert (found.id, found.project_id, found.name) == (made.id, "shop", "ci ü")
    assert abs(made.created_at - now(database)) < micros(60)
    assert made.used_at is made.revoked_at is None
    assert get(database, "nonsense") is None


def test_nothing_kept_holds_the_key(database: Database) -> None:
    made, key = create(database, "shop", "ci")
    assert re.fullmatch(r"polos_[0-9a-f]{16}_[\w-]{43}", key)
    secret = key.split("_", 2)[2]
    assert secret not in repr(row_of(database, made.id))
    assert secret not in repr(made)
    assert len(row_of(database, made.id).digest) == 64


def test_another_secret_opens_nothing(database: Database) -> None:
    made, key = create(database, "shop", "ci")
    other, _ = new_key()
    for wrong in (
        key[:-1],
        key + "x",
        key.upper(),
        key.replace(made.id, other),
        f"polos_{made.id}_",
        f"polos_{made.id}_{row_of(database, made.id).digest}",
        "",
    ):
        assert opened_by(database, wrong) is None, wrong
    assert row_of(database, made.id).used_at is None


def test_a_revoked_key_opens_nothing_and_stays_listed(database: Database) -> None:
    made, key = create(database, "shop", "ci")
    revoked = revoke(database, made.id)
    assert revoked is not None and revoked.revoked_at is not None
    assert opened_by(database, key) is None
    assert revoke(database, made.id) == revoked
    assert listed(database, "shop") == (revoked,)
    assert revoke(database, "nonsense") is None


def test_keys_are_listed_by_project(database: Database) -> None:
    made = [create(database, project, "ci")[0] for project in ("b", "a", "a")]
    for moment, key in enumerate(made):
        database.run(update(api_keys).where(api_keys.c.id == key.id).values(created_at=9 - moment))
    assert [key.id for key in listed(database)] == [made[2].id, made[1].id, made[0].id]
    assert [key.id for key in listed(database, "a")] == [made[2].id, made[1].id]
    assert listed(database, "A") == ()


def test_a_use_is_noted_once_a_minute(database: Database) -> None:
    made, key = create(database, "shop", "ci")
    assert opened_by(database, key) is not None
    first = row_of(database, made.id).used_at
    assert abs(first - now(database)) < micros(60)
    recent = now(database) - micros(20)
    set_used(database, made.id, recent)
    assert opened_by(database, key) is not None
    assert row_of(database, made.id).used_at == recent
    set_used(database, made.id, now(database) - micros(61))
    assert opened_by(database, key) is not None
    assert row_of(database, made.id).used_at > recent


@pytest.mark.parametrize(
    "text",
    [
        "polos_",
        "polos__x",
        "polos_0123456789abcdef",
        "polos_0123456789abcdef_",
        "polos_0123456789abcde_x",
        "polos_0123456789'bcdef_x",
        "polos_0123456789abcde\0_x",
        "polos_٠١٢٣٤٥٦٧٠١٢٣٤٥٦٧_x",
        "Polos_0123456789abcdef_x",
        "polos_0123456789abcdef_" + "x" * 300,
        "sk_0123456789abcdef_x",
    ],
)
def test_what_can_be_no_key_is_not_asked_for(text: str) -> None:
    assert id_in(text) is None


def test_a_use_that_can_not_be_noted_refuses_nobody(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, key = create(database, "shop", "ci")
    run = Database.run

    def locked(self: Database, statement: Any, *more: Any) -> Any:
        if isinstance(statement, Update):
            raise StoreUnavailable("of the test", "it is locked")
        return run(self, statement, *more)

    monkeypatch.setattr(Database, "run", locked)
    found = opened_by(database, key)
    assert found is not None and found.id == made.id
