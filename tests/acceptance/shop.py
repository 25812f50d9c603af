"""Somebody's Celery project whose tasks are steps of a workflow.

With SHOP_DATABASE Polos is bound to it; without it is what runs in their other workers: an app that
knows nothing of Polos.
"""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, chain, chord, group
from celery.exceptions import Ignore, Reject

from tests.acceptance.ledger import effect, gated, write

app = Celery("shop", set_as_current=False)
app.conf.update(
    broker_url=os.environ.get("SHOP_BROKER", "memory://"),
    result_backend=os.environ.get("SHOP_BACKEND"),
    broker_transport_options={"visibility_timeout": 3600},
    polos_database_url=os.environ.get("SHOP_DATABASE"),
    polos_auto_migrate=True,
    task_default_queue="shop",
)


class OutOfStock(Exception):
    """Can't be pickled: it wants two arguments and gives one on."""

    def __init__(self, what: str, left: int) -> None:
        super().__init__(f"no {what}")
        self.left = left


@app.task(name="shop.charge")
def charge(me: str, amount: int) -> dict[str, Any]:
    effect(me, f"charge {amount}")
    return {"amount": amount, "lines": (1, 2)}


@app.task(name="shop.fail")
def fail(me: str) -> None:
    effect(me, "fail")
    raise OutOfStock("tea", 0)


@app.task(
    name="shop.flaky",
    bind=True,
    autoretry_for=(ConnectionError,),
    max_retries=3,
    retry_backoff=0.05,
)
def flaky(self: Any, me: str, times: int) -> str:
    """Fails so many times, and says then how often."""
    effect(me, "flaky")
    if self.request.retries < times:
        raise ConnectionError("not yet")
    return f"after {self.request.retries}"


@app.task(name="shop.by_hand", bind=True)
def by_hand(self: Any, me: str) -> str:
    effect(me, "by hand")
    if self.request.retries < 1:
        raise self.retry(countdown=0.1)
    return "at last"


@app.task(name="shop.slow", acks_late=True, reject_on_worker_lost=True)
def slow(me: str) -> str:
    return gated(me, "slow", "slow and sure")


@app.task(name="shop.limited", time_limit=1)
def limited(me: str) -> None:
    write(me, "limited", "begin")
    time.sleep(60)


@app.task(name="shop.add")
def add(me: str, *numbers: int) -> int:
    effect(me, "add")
    return sum(numbers)


@app.task(name="shop.total")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="shop.double")
def double(number: int) -> int:
    return 2 * number


@app.task(name="shop.replaced", bind=True)
def replaced(self: Any, me: str) -> Any:
    effect(me, "replaced")
    return self.replace(chain(add.s(me, 1, 2), double.s()))


@app.task(name="shop.ignoring")
def ignoring(me: str) -> None:
    effect(me, "ignoring")
    raise Ignore


@app.task(name="shop.rejecting", acks_late=True)
def rejecting(me: str) -> None:
    effect(me, "rejecting")
    raise Reject("no", requeue=False)


@app.task(name="shop.unkeepable")
def unkeepable(me: str) -> Any:
    effect(me, "unkeepable")
    return {1, object()}


def signature_of(what: str, me: str) -> Any:
    """What a step is given."""
    made = {
        "charge": lambda: charge.s(me, 42),
        "fail": lambda: fail.s(me),
        "flaky": lambda: flaky.s(me, 2),
        "too flaky": lambda: flaky.s(me, 9),
        "by hand": lambda: by_hand.s(me),
        "slow": lambda: slow.s(me),
        "limited": lambda: limited.s(me),
        "group": lambda: group(add.s(me, n, n) for n in range(3)),
        "uneven group": lambda: group(by_hand.s(me), slow.s(me)),
        "failing group": lambda: group(add.s(me, 1), fail.s(me)),
        "chain": lambda: chain(add.si(me, 1, 2), double.s(), double.s()),
        "failing chain": lambda: chain(fail.si(me), double.s()),
        "chord": lambda: chord((add.s(me, n, n) for n in range(3)), total.s()),
        "failing chord": lambda: chord([add.s(me, 1), fail.s(me)], total.s()),
        "replaced": lambda: replaced.s(me),
        "ignoring": lambda: ignoring.s(me),
        "rejecting": lambda: rejecting.s(me),
        "unkeepable": lambda: unkeepable.s(me),
        "elsewhere": lambda: charge.s(me, 42).set(queue="elsewhere"),
        "failing elsewhere": lambda: fail.s(me).set(queue="elsewhere"),
        "slow elsewhere": lambda: slow.s(me).set(queue="elsewhere"),
        "expiring": lambda: charge.s(me, 42).set(queue="elsewhere", expires=0.2),
        "unsendable": lambda: charge.s(me, object()),
    }
    return made[what]()


if "SHOP_DATABASE" in os.environ:
    from tests.acceptance import shop_flows  # noqa: F401
