from __future__ import annotations

import asyncio
from typing import Any

import pytest

from polos.model.ports import TaskRequest

from .fakes import FakeEffects


@pytest.fixture
def effects() -> FakeEffects:
    made = FakeEffects()
    made.child_result = {"paid": True}
    return made


def test_a_task_is_asked_for(effects: FakeEffects) -> None:
    signature = object()
    steps = effects.steps_for("e1")
    assert asyncio.run(steps.task("charge", signature)) == {"paid": True}
    asyncio.run(steps.task("later", signature, timeout=60, resend_after=1.5))
    assert effects.tasks == [
        TaskRequest("charge", signature),
        TaskRequest("later", signature, 60, 1.5),
    ]


def test_in_a_plain_function(effects: FakeEffects) -> None:
    steps = effects.sync_steps_for("e1")
    assert steps.task("charge", "signature", timeout=60, resend_after=2) == {"paid": True}
    assert effects.tasks == [TaskRequest("charge", "signature", 60, 2)]


@pytest.mark.parametrize(
    ("key", "options", "text"),
    [
        ("", {}, "key is empty"),
        ("charge", {"timeout": 0}, "timeout is 0"),
        ("charge", {"timeout": "60"}, "timeout is '60'"),
        ("charge", {"resend_after": -1}, "resend_after is -1"),
        ("charge", {"resend_after": float("inf")}, "resend_after is inf"),
    ],
)
def test_what_can_not_be_asked_for(
    effects: FakeEffects, key: str, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        asyncio.run(effects.steps_for("e1").task(key, "signature", **options))
    assert effects.tasks == []
