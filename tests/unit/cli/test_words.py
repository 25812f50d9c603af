"""Times, lengths and other people's texts in few, harmless characters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from polos.cli.options import length, moment, payload
from polos.model.inert import inert, one_line
from polos.model.words import ago, counted, lasting, short

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (200, "3 min 20 s"),
        (3599.6, "1 h"),
        (7260, "2 h 1 min"),
        (30 * 86_400, "30 d"),
        (86_400 + 7200 + 59, "1 d 2 h"),
        (-2, "-2.0 s"),
    ],
)
def test_lengths_of_time(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s ago"), (-3, "0 s ago"), (61, "1 min ago"), (7199, "1 h ago"), (172_800, "2 d ago")],
)
def test_how_long_ago(seconds: float, words: str) -> None:
    assert ago(NOON - timedelta(seconds=seconds), NOON) == words


def test_numbers_with_their_words() -> None:
    assert [counted(n, "step") for n in (0, 1, 1200)] == ["0 steps", "1 step", "1,200 steps"]


def test_a_value_is_one_line_of_json_and_no_longer_than_asked() -> None:
    assert short({"a": "ö\n"}) == '{"a": "ö\\n"}'
    assert short("x" * 300, 20) == '"xxxxxxxxxxxxxxxx...'


@pytest.mark.parametrize(
    "nasty",
    [
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "\x9b2J",
        "a\rb",
        "\x00",
        "\x7f",
        "abc\u202edef",
        "\u2066x\u2069",
        "\u200bhidden",
        "\ud800",
        "\U000e0041",
        "bell\x07",
        "back\b",
    ],
)
def test_nothing_moves_the_cursor(nasty: str) -> None:
    for made in (inert(nasty), one_line(nasty)):
        assert all(c.isprintable() for c in made)
        made.encode("utf-8")


def test_ordinary_texts_stay_as_they_are() -> None:
    plain = (
        "Größe 5, 日本語, emoji \U0001f468\u200d\U0001f469\u200d\U0001f467 [bold]x[/bold]\n\tline"
    )
    assert inert(plain) == plain
    assert one_line("a\nb\t c\r\nd") == "a b c d"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("30d", 2_592_000), ("1w", 604_800)],
)
def test_lengths_that_can_be_typed(text: str, seconds: float) -> None:
    assert length(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-1h", "1y", "1 h", "2h30m"])
def test_lengths_that_can_not(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no length of time; write"):
        length(text)


def test_moments_that_can_be_typed() -> None:
    assert moment("2030-01-01T12:00:00Z") == NOON
    assert moment("2030-01-01T14:00:00+02:00") == NOON
    assert moment("2030-01-01").tzinfo is not None
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert abs(moment("1h") - hour_ago) < timedelta(minutes=1)
    with pytest.raises(click.BadParameter, match="no moment; write"):
        moment("yesterday")


def test_payloads(tmp_path, monkeypatch) -> None:
    file = tmp_path / "order.json"
    file.write_text('{"id": 7}')
    assert payload('{"id": 7}') == payload(f"@{file}") == {"id": 7}
    assert payload("null") is None
    for wrong in ("[1]", "7", "{", f"@{tmp_path / 'nothing'}", f"@{tmp_path}"):
        with pytest.raises(click.BadParameter):
            payload(wrong)
