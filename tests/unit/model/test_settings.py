from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from polos.errors import ConfigurationError
from polos.model.settings import Settings, find_home


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("POLOS_HOME", raising=False)
    for field in fields(Settings):
        monkeypatch.delenv(f"POLOS_{field.name.upper()}", raising=False)
    yield


def test_without_anything_the_defaults_hold() -> None:
    assert Settings.load() == Settings.load({}) == Settings()


def test_given_values_come_before_celery_s_and_those_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POLOS_PROJECT_ID", "environment")
    assert Settings.load().project_id == "environment"
    conf = {"polos_project_id": "celery"}
    assert Settings.load(conf).project_id == "celery"
    assert Settings.load(conf, project_id="given").project_id == "given"
    assert Settings.load(conf, project_id=None).project_id == "celery"
    assert Settings.load({"polos_project_id": None}).project_id == "environment"


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_read_from_both_places(field, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = {
        bool: ("true", True),
        int: ("7", 7),
        float: ("7.5", 7.5),
        str: ("NORMAL", "NORMAL"),
        tuple: ("card, PIN", ("card", "PIN")),
    }[type(field.default)]
    found = getattr(Settings.load({f"polos_{field.name}": value}), field.name)
    assert found == value
    assert type(found) is type(field.default)
    monkeypatch.setenv(f"POLOS_{field.name.upper()}", text)
    found = getattr(Settings.load(), field.name)
    assert found == value
    assert type(found) is type(field.default)


@pytest.mark.parametrize("text", ["1", "true", "True", "YES", "on"])
def test_what_switches_on(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_AUTO_MIGRATE", text)
    assert Settings.load().auto_migrate is True


@pytest.mark.parametrize("text", ["0", "false", "No", "off", ""])
def test_what_switches_off(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_AUTO_MIGRATE", text)
    assert Settings.load().auto_migrate is False
    assert Settings.load({"polos_auto_migrate": False}).auto_migrate is False


def test_false_from_celery_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_AUTO_MIGRATE", "1")
    assert Settings.load({"polos_auto_migrate": False}).auto_migrate is False
    monkeypatch.setenv("POLOS_COUNTDOWN_HORIZON", "5")
    assert Settings.load({"polos_countdown_horizon": 0}).countdown_horizon == 0


def test_an_empty_value_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_LEASE_SECONDS", "")
    assert Settings.load().lease_seconds == Settings().lease_seconds


@pytest.mark.parametrize("name", ["lease_seconds", "max_recoveries"])
def test_what_is_no_number_is_an_error_that_names_both_places(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"POLOS_{name.upper()}", "soon")
    with pytest.raises(ConfigurationError, match="'soon'.*must be a number") as caught:
        Settings.load()
    assert f"POLOS_{name.upper()}" in str(caught.value)
    assert f"polos_{name}" in str(caught.value)


def test_home_is_what_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_HOME", str(tmp_path / "a" / "b"))
    (tmp_path / ".polos").mkdir()
    assert find_home(tmp_path) == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


def test_home_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("POLOS_HOME", "~/mine")
    assert find_home() == tmp_path / "mine"


def test_home_is_the_nearest_upwards(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (tmp_path / ".polos").mkdir()
    assert find_home(deep) == tmp_path / ".polos"
    (tmp_path / "a" / "b" / ".polos").mkdir()
    assert find_home(deep) == tmp_path / "a" / "b" / ".polos"


def test_a_file_of_that_name_is_no_home(tmp_path: Path) -> None:
    (tmp_path / ".polos").mkdir()
    below = tmp_path / "below"
    below.mkdir()
    (below / ".polos").touch()
    assert find_home(below / "deeper") == tmp_path / ".polos"


def test_without_any_home_one_is_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = find_home()
    assert home == tmp_path / ".polos"
    assert home.is_dir()
    assert home.stat().st_mode & 0o077 == 0  # payloads and logs are in it
    assert find_home() == home


def test_a_home_that_can_not_be_made_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("POLOS_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(ConfigurationError, match="set POLOS_HOME to"):
        find_home()


@pytest.mark.parametrize("days", [-1, "-0.5", "nan", "inf", 40_000])
def test_a_retention_that_would_delete_all_or_can_not_be_counted(days: object) -> None:
    with pytest.raises(ConfigurationError, match="POLOS_RETENTION_DAYS .* or 0 to keep all"):
        Settings.load(retention_days=days)


NUMBERS = [
    "wait_threshold_seconds",
    "lease_seconds",
    "countdown_horizon",
    "foreign_grace",
    "soft_shutdown_seconds",
    "unwind_seconds",
]


@pytest.mark.parametrize("value", ["-1", "nan", "inf", 1e300])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_length_of_time_that_can_not_work(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"POLOS_{name.upper()} \(polos_{name}\) is "):
        Settings.load({f"polos_{name}": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lease_seconds", 0),
        ("lease_seconds", "0.5"),
        ("max_value_bytes", 0),
        ("max_value_bytes", -5),
        ("max_recoveries", -1),
        ("max_recoveries", float("inf")),
        ("project_id", "a\0b"),
        ("project_id", "x" * 256),
        ("project_id", "\ud800"),
        ("deployment_id", "x" * 256),
    ],
)
def test_a_value_that_can_not_work(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"POLOS_{name.upper()} .* it must be a "):
        Settings.load(**{name: value})


@pytest.mark.parametrize("name", [*NUMBERS, "max_recoveries"])
def test_the_least_that_a_number_may_be(name: str) -> None:
    least = 1 if name == "lease_seconds" else 0
    assert getattr(Settings.load(**{name: least}), name) == least


def test_a_part_of_a_day_can_be_kept() -> None:
    assert Settings.load(retention_days="0.5").retention_days == 0.5


def test_names_to_mask_come_as_a_list_or_as_a_text() -> None:
    for given in (["card", "pin"], ("card", "pin"), "card,pin", " card , ,pin "):
        assert Settings.load({"polos_redact": given}).redact == ("card", "pin")
    for wrong in (7, [7], {"card": True}):
        with pytest.raises(ConfigurationError, match="POLOS_REDACT"):
            Settings.load({"polos_redact": wrong})
