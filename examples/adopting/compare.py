"""Runs the five jobs both ways; start a worker first: celery -A shop worker"""

from collections.abc import Callable
from typing import Any

import canvas
import workflows
from workflows import Cart, Order, Reminder

GOODS = ["keyboard", "mouse", "screen"]
WRONG = ["keyboard", "yeti"]


def outcome(job: Callable[[], Any]) -> str:
    try:
        return repr(job())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def compare(name: str, celerys: Callable[[], Any], ours: Callable[[], Any]) -> None:
    print(f"{name:<20} Celery    {outcome(celerys)}")
    print(f"{'':<20} workflow  {outcome(ours)}", flush=True)


def main() -> None:
    compare(
        "a chain",
        lambda: canvas.send_order(7).get(timeout=60),
        lambda: workflows.order.run_sync(payload=Order(number=7)),
    )
    compare(
        "a group",
        lambda: canvas.send_prices(GOODS).get(timeout=60),
        lambda: workflows.prices.run_sync(payload=Cart(items=GOODS)),
    )
    compare(
        "a chord",
        lambda: canvas.send_invoice(GOODS).get(timeout=60),
        lambda: workflows.invoice.run_sync(payload=Cart(items=GOODS)),
    )
    compare(
        "a chord that fails",
        lambda: canvas.send_invoice(WRONG).get(timeout=60),
        lambda: workflows.invoice.run_sync(payload=Cart(items=WRONG)),
    )
    compare(
        "a task that retries",
        lambda: canvas.send_rate().get(timeout=60),
        lambda: workflows.rate.run_sync(),
    )
    compare(
        "a task with an ETA",
        lambda: canvas.send_reminder(7, 2).get(timeout=60),
        lambda: workflows.reminder.run_sync(payload=Reminder(number=7, seconds=2)),
    )


if __name__ == "__main__":
    main()
