"""A shop's Celery app with its tasks, as it has long been, and three lines for Polos."""

import os
from pathlib import Path
from typing import Any

from celery import Celery

from polos import Polos

REDIS = os.environ.get("SHOP_REDIS", "redis://localhost:6379/0")

app = Celery("shop", broker=REDIS, backend=REDIS, include=["workflows"])
app.conf.polos_database_url = os.environ.get("SHOP_DATABASE", "sqlite:///shop.db")
polos = Polos(app)

PRICES = {"keyboard": 50, "mouse": 20, "screen": 180}
BANK_IS_BUSY = Path(os.environ.get("SHOP_BANK_IS_BUSY", "bank-is-busy"))


class OutOfStock(Exception):
    """There is no such item."""


@app.task
def reserve(number: int) -> dict[str, Any]:
    """Put the order's goods aside."""
    return {"number": number, "reserved": True}


@app.task
def charge(order: dict[str, Any]) -> dict[str, Any]:
    """Take the money."""
    return {**order, "paid": True}


@app.task
def ship(order: dict[str, Any]) -> str:
    """Book a parcel."""
    return f"parcel of order {order['number']}"


@app.task
def price(item: str) -> int:
    """What an item costs."""
    if item not in PRICES:
        raise OutOfStock(item)
    return PRICES[item]


@app.task
def total(prices: list[int]) -> int:
    """The sum of an invoice."""
    return sum(prices)


@app.task
def report(*args: Any) -> str:
    """Tell somebody that an invoice could not be made."""
    return "reported"


def ask_bank() -> float:
    """The rate of today; at the first call the bank is busy."""
    if not BANK_IS_BUSY.exists():
        BANK_IS_BUSY.touch()
        raise ConnectionError("the bank is busy")
    BANK_IS_BUSY.unlink()
    return 1.25


@app.task(autoretry_for=(ConnectionError,), retry_backoff=1, retry_jitter=False, max_retries=5)
def fetch_rate() -> float:
    """The rate of today, tried again until the bank answers."""
    return ask_bank()


@app.task
def remind(number: int) -> str:
    """Ask for the money once more."""
    return f"reminded of order {number}"
