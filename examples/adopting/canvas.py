"""Five jobs of the shop in Celery's own ways."""

from datetime import UTC, datetime, timedelta

from celery import chain, chord, group
from celery.result import AsyncResult, GroupResult
from shop import charge, fetch_rate, price, remind, report, reserve, ship, total


def send_order(number: int) -> AsyncResult:
    return chain(reserve.s(number), charge.s(), ship.s()).apply_async()


def send_prices(items: list[str]) -> GroupResult:
    return group(price.s(item) for item in items).apply_async()


def send_invoice(items: list[str]) -> AsyncResult:
    prices = [price.s(item) for item in items]
    return chord(prices, total.s().on_error(report.s())).apply_async()


def send_rate() -> AsyncResult:
    return fetch_rate.delay()


def send_reminder(number: int, seconds: float) -> AsyncResult:
    return remind.apply_async((number,), eta=datetime.now(UTC) + timedelta(seconds=seconds))
