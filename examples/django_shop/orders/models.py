"""What is in stock, and what was ordered."""

from __future__ import annotations

from django.db import models


class Item(models.Model):
    """Something that can be bought."""

    name = models.CharField(max_length=50, unique=True)
    in_stock = models.PositiveIntegerField()

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    """What somebody ordered; its workflow is the execution."""

    item = models.ForeignKey(Item, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField()
    status = models.CharField(max_length=20, default="placed")
    execution_id = models.CharField(max_length=255)

    def __str__(self) -> str:
        return f"order {self.pk}"
