"""Masks in log lines and events."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from polos.binding import masking
from polos.binding.masking import mask_logs, masked_fields, shown_arguments

NAMES = ("pin",)
LOGGERS = ("celery.app.trace", "polos.execution", "shop")


@pytest.fixture(autouse=True)
def fresh_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apps of other tests may have set masks in this process."""
    monkeypatch.setattr(masking, "_filter", masking._Masking())
    for name in LOGGERS:
        monkeypatch.setattr(logging.getLogger(name), "filters", [])


@pytest.fixture
def said(fresh_filter: None) -> Iterator[io.StringIO]:
    """What loggers say, with the masks that a worker sets."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    loggers = list(map(logging.getLogger, LOGGERS))
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    mask_logs(NAMES)
    yield stream
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def test_what_celery_says_of_workflows_is_masked(said: io.StringIO) -> None:
    log = logging.getLogger("celery.app.trace")
    for name in ("polos.pay", "shop.pay"):
        context = {"name": name, "return_value": "{'pin': 7}", "kwargs": "{}", "runtime": 0.5}
        log.info("%(name)s %(runtime)s %(return_value)s", context, extra={"data": context})
    assert said.getvalue() == "polos.pay 0.5 {'pin': ***}\nshop.pay 0.5 {'pin': 7}\n"


def test_what_polos_says_is_masked_with_its_tracebacks(said: io.StringIO) -> None:
    log = logging.getLogger("polos.execution")
    try:
        raise ValueError("Card(pin=7)")
    except ValueError as error:
        log.error("%s: %s, %r and %d", "id", error, error, 7, exc_info=error)
        log.info("pin=%s", "7")
        log.info("nothing")
    text = said.getvalue()
    assert text.startswith("id: Card(pin=***), ValueError('Card(pin=***)') and 7\nTraceback")
    assert "ValueError: Card(pin=***)\n" in text
    assert "Card(pin=7)" not in text
    assert text.endswith("pin=7\nnothing\n")


def test_other_programs_log_as_they_like(said: io.StringIO) -> None:
    logging.getLogger("shop").info("%s", "pin=7")
    assert said.getvalue() == "pin=7\n"


def test_without_names_no_logger_is_touched() -> None:
    mask_logs(())
    assert masking._filter not in logging.getLogger("polos.execution").filters


def test_events_and_messages() -> None:
    fields = {"result": "{'pin': 7}", "runtime": 1.0, "exception": None, "uuid": "pin=7"}
    assert masked_fields(fields, NAMES) == fields | {"result": "{'pin': ***}"}
    assert shown_arguments(({"pin": 7},), None, NAMES) == {
        "argsrepr": "[{'pin': '***'}]",
        "kwargsrepr": "{}",
    }
    assert shown_arguments(({"pin": 7},), None, ()) == {}
