"""The workflow on the test's database, with a worker in this process."""

from __future__ import annotations

from django.db import connection, transaction
from django.test import TransactionTestCase
from shop import celery_app

from orders.models import Item, Order
from orders.workflows import PlacedOrder, fulfil_order
from polos import ExecutionNotFound, Polos, StepExecutionError


class FulfilOrderTest(TransactionTestCase):
    """Not a ``TestCase``: what it writes is never committed, and a worker would not see it."""

    def setUp(self) -> None:
        self.mouse = Item.objects.create(name="Mouse Two", in_stock=2)

    def place(self, quantity: int) -> Order:
        return Order.objects.create(item=self.mouse, quantity=quantity)

    def test_an_order_is_shipped(self) -> None:
        order = self.place(2)
        with Polos() as polos:
            done = fulfil_order.run_sync(polos, PlacedOrder(number=order.pk), timeout=60)
        self.assertEqual(done.receipt, "2 x Mouse Two: thank you!")
        order.refresh_from_db()
        self.mouse.refresh_from_db()
        self.assertEqual((order.status, self.mouse.in_stock), ("shipped", 0))

    def test_an_order_of_too_many_fails(self) -> None:
        order = self.place(3)
        with Polos() as polos, self.assertRaises(StepExecutionError):
            fulfil_order.run_sync(polos, PlacedOrder(number=order.pk), timeout=60)
        self.mouse.refresh_from_db()
        self.assertEqual(self.mouse.in_stock, 2)

    def test_the_pages_with_no_worker_at_all(self) -> None:
        celery_app.conf.task_always_eager = True
        self.addCleanup(setattr, celery_app.conf, "task_always_eager", False)
        placed = self.client.post("/", {"item": self.mouse.pk, "quantity": 2}, follow=True)
        self.assertContains(placed, "The order is shipped, its workflow completed.")
        self.assertContains(placed, "2 x Mouse Two: thank you!")

    def test_an_order_that_is_rolled_back_starts_nothing(self) -> None:
        with transaction.atomic():
            order = self.place(1)
            handle = fulfil_order.start(PlacedOrder(number=order.pk), connection=connection)
            transaction.set_rollback(True)
        with self.assertRaises(ExecutionNotFound):
            handle.status()
