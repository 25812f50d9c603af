"""A Celery task that the shop had before; nothing about it is changed."""

from __future__ import annotations

from celery import shared_task
from celery.utils.log import get_task_logger

from orders.models import Order

log = get_task_logger(__name__)


@shared_task
def send_receipt(number: int) -> str:
    """Stands for sending an e-mail."""
    order = Order.objects.select_related("item").get(pk=number)
    receipt = f"{order.quantity} x {order.item.name}: thank you!"
    log.info("receipt of order %s: %s", number, receipt)
    return receipt
