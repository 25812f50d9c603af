"""``polos keys``: secrets are printed once, and to stdout only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from polos import Polos
from polos.cli.commands import main, polos
from polos.store.api_keys import opened_by
from polos.store.database import Database


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    found = f"sqlite:///{tmp_path / 'polos.db'}"
    monkeypatch.setenv("POLOS_DATABASE_URL", found)
    monkeypatch.setenv("POLOS_PROJECT_ID", "shop")
    return found


def run(*args: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["keys", *args])
    assert done.exit_code == code, (done.output, done.stderr)
    return done


def test_a_key_is_printed_once_and_by_itself(url: str) -> None:
    made = run("create", "ci", "--project", "other")
    key = made.stdout.strip()
    found = opened_by(Database(url), key)
    assert found is not None
    assert (found.project_id, found.name) == ("other", "ci")
    secret = key.split("_", 2)[2]
    assert secret not in made.stderr
    assert found.id in made.stderr
    for shown in (run("list"), run("list", "--json"), run("revoke", found.id)):
        assert secret not in shown.output
        assert found.id in shown.output
    assert opened_by(Database(url), key) is None


def test_as_json(url: str) -> None:
    made = json.loads(run("create", "ci", "--json").stdout)
    assert made["project_id"] == "shop"
    assert made["key"].startswith(f"polos_{made['id']}_")
    del made["key"]
    assert json.loads(run("list", "--json").stdout) == {"items": [made]}
    assert json.loads(run("list", "--json", "--project", "other").stdout) == {"items": []}
    revoked = json.loads(run("revoke", made["id"], "--json").stdout)
    assert revoked["revoked_at"]
    assert "revoked" in run("list").stdout


def test_wrong_calls(url: str) -> None:
    key = run("create", "ci").stdout.strip()
    missing = run("revoke", key, code=3)
    assert key not in missing.output + missing.stderr
    run("revoke", "\udcff", code=3)
    for wrong in (["create"], ["create", ""], ["create", "x" * 256], ["create", "a\0"],
                  ["create", "a", "--project", ""], ["list", "--project", ""]):  # fmt: skip
        run(*wrong, code=2)
    assert len(json.loads(run("list", "--json").stdout)["items"]) == 1


def test_below_celery_too(url: str) -> None:
    app = Celery("keyed", set_as_current=False, broker="memory://")
    app.conf.polos_database_url = url
    Polos(app)
    given = type("Given", (), {"app": app, "no_color": True})()
    done = CliRunner().invoke(polos, ["keys", "create", "ci"], obj=given)
    assert done.exit_code == 0, done.output
    assert opened_by(Database(url), done.stdout.strip()) is not None
    app.close()
