"""The data of an execution is shown with masks in its values only."""

from __future__ import annotations

from polos.definition.masking import masked

NAMES = ["pin", "status", "key"]


def test_values_and_texts_are_masked_and_the_rest_is_not() -> None:
    found = {
        "id": "e",
        "status": "failed",
        "payload": {"pin": 1, "status": "s", "open": 2},
        "result": None,
        "error": "Card(pin=1)",
        "steps": [
            {
                "key": "k",
                "value": [{"pin": 1}],
                "input": {"kwargs": {"pin": 1}},
                "history": [{"error": "pin: 1", "at": "now"}],
                "child": {"status": "completed", "result": {"pin": 1}},
            }
        ],
    }
    assert masked(found, NAMES) == {
        "id": "e",
        "status": "failed",
        "payload": {"pin": "***", "status": "***", "open": 2},
        "result": None,
        "error": "Card(pin=***)",
        "steps": [
            {
                "key": "k",
                "value": [{"pin": "***"}],
                "input": {"kwargs": {"pin": "***"}},
                "history": [{"error": "pin: ***", "at": "now"}],
                "child": {"status": "completed", "result": {"pin": "***"}},
            }
        ],
    }
    assert found["steps"][0]["value"] == [{"pin": 1}]


def test_without_names_nothing_changes() -> None:
    found = {"payload": {"pin": 1}, "child": None}
    assert masked(found, ()) is found
    assert masked(None, NAMES) is None
