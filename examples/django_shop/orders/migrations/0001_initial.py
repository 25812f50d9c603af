"""The tables, and something to sell."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models


def stock_up(apps: Any, _editor: Any) -> None:
    """Fill the shelves."""
    item = apps.get_model("orders", "Item")
    item.objects.create(name="Keyboard", in_stock=100)
    item.objects.create(name="Mouse", in_stock=2)


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            "Item",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=50, unique=True)),
                ("in_stock", models.PositiveIntegerField()),
            ],
        ),
        migrations.CreateModel(
            "Order",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("quantity", models.PositiveIntegerField()),
                ("status", models.CharField(max_length=20, default="placed")),
                ("execution_id", models.CharField(max_length=255)),
                ("item", models.ForeignKey("orders.Item", models.PROTECT)),
            ],
        ),
        migrations.RunPython(stock_up, migrations.RunPython.noop),
    ]
