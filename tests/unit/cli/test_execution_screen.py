"""What ``polos show`` draws, as text: each line as it stands on a screen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from polos.cli.screens import execution
from polos.cli.screens.glyphs import ASCII, UNICODE, Glyphs
from tests.unit.cli.scenes import NASTY, ORDER, START, made, step, text_of, tried

A_TREE = """\
order  id-of-order
waiting · created 2030-01-01 12:00:00 UTC · for 9.0 s · taken 3 times
user ada · tags eu, vip
payload {"id": "a1"}

step               kind   status    tries        took  0                  10.0 s
order                     waiting       3       9.0 s  ··▒▒▒─────█─────────────▶
├─ number          uuid   completed                      █
├─ charge          step   completed     2       3.0 s    ▒▒▒─────█
│    attempt 1: TimeoutError: busy
├─ pause           wait   completed             2.0 s            ─────
├─ ship (shipping) child  waiting               4.0 s                 ·██▒▒──▒─▶
│  │  waits for execution id-of-shipping, which is waiting
│  ├─ pick         step   completed     1       1.0 s                  ███
│  └─ label        step   retrying      2       2.5 s                    ▒▒──▒─▶
│       attempt 1: TimeoutError: printer away
│       attempt 2: TimeoutError: a long text a long text a long text a long
│       text a long text a long text
│       waits until 2030-01-01 12:00:14 UTC (in 4.0 s) for attempt 3
└─ limit           wait   waiting               4.0 s                 ─────────▶
     waits until 2030-01-01 14:00:10 UTC (in 2 h)"""


def show(data: dict[str, Any], width: int = 80, glyphs: Glyphs = UNICODE, now: float = 10) -> str:
    drawn = execution.drawn(data, START + timedelta(seconds=now), width, glyphs)
    text = text_of(drawn, width, "utf-8" if glyphs is UNICODE else "ascii")
    assert max(map(len, text.splitlines())) <= width
    return text


def test_a_tree_of_steps_with_bars_to_scale() -> None:
    assert show(ORDER) == A_TREE


def test_the_same_in_ascii() -> None:
    text = show(ORDER, glyphs=ASCII)
    assert text.isascii()
    assert "|  `- label" in text


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_any_width_will_do(width: int) -> None:
    show(ORDER, width=width)
    show(made("w", "queued", 0, None, None), width=width)


def test_a_bar_is_where_its_step_was() -> None:
    """120 cells: from 0 to 10 s, with 8 cells a second or so."""
    lines = show(ORDER, width=120).splitlines()
    header = next(line for line in lines if line.startswith("step "))
    left = header.index(" 0 ") + 1
    cells = 120 - left
    for key, began, ended in (("pause", 4, 6), ("pick", 6.5, 7.5)):
        bar = next(line for line in lines if f" {key} " in line)[left:]
        first = len(bar) - len(bar.lstrip())
        assert abs(first - began / 10 * cells) <= 1
        assert abs(len(bar.strip()) - (ended - began) / 10 * cells) <= 1


def test_what_failed_says_why() -> None:
    failed = made(
        "order", "failed", 0, 1, 3,
        step("pay", "step", "failed", 1, 3, attempts=2, history=[tried(2, "busy")],
             error="no such card", error_type="shop.CardError"),
        error="no such card", error_type="shop.CardError",
    )  # fmt: skip
    text = show(failed)
    assert "attempt 1: TimeoutError: busy\n" in text
    assert "attempt 2: CardError: no such card\n" in text
    assert text.endswith("\n\nshop.CardError: no such card")
    assert "took 2.0 s" in text


def test_what_was_completed_shows_its_result() -> None:
    assert show(made("w", "completed", 0, 1, 2, result={"n": 1})).endswith('\n\nresult {"n": 1}')


def test_many_steps_are_cut() -> None:
    many = [step(f"s{n}", "step", "completed", n / 100, n / 100) for n in range(1000)]
    text = show(made("w", "completed", 0, 0, 10, *many))
    assert "and 601 more; --json has them all" in text
    assert len(text.splitlines()) < 420


def test_nothing_of_a_payload_reaches_the_terminal() -> None:
    nasty = made(
        NASTY, "failed", 0, 1, 2,
        step(NASTY, "step", "failed", 1, 2, error=NASTY, error_type=NASTY),
        payload={NASTY: NASTY}, error=NASTY, error_type=NASTY, tags=[NASTY], user_id=NASTY,
        id=NASTY,
    )  # fmt: skip
    text = show(nasty, width=200)
    assert "\\x1b[31m[red]x\\x07\\u202e" in text


def test_why_nobody_takes_it_and_where_it_failed() -> None:
    waiting = {**ORDER, "unclaimed": "no living worker has it"}
    assert show(waiting).splitlines()[4] == "no living worker has it"
    trace = 'Traceback (most recent call last):\n  File "shop.py", line 7, in look\nKeyError: 1\n'
    failed = {**ORDER, "status": "failed", "error": "1", "error_type": "KeyError"}
    assert "Traceback" not in show({**failed, "traceback": None})
    assert show({**failed, "traceback": trace}).endswith(
        'KeyError: 1\nTraceback (most recent call last):\n  File "shop.py", line 7, in look'
    )


def test_what_is_at_work_now_and_where() -> None:
    running = {**ORDER, "status": "running", "worker": "one@host", "executing": ["pick", "label"]}
    assert show(running).splitlines()[4] == "at work on one@host in pick, label"
    assert "at work" not in show({**running, "status": "waiting"})
    assert "at work" not in show({**running, "worker": None, "executing": []})
