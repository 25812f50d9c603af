"""Stock and orders in the admin; executions come with ``polos.contrib.django``."""

from __future__ import annotations

from django.contrib import admin

from orders.models import Item, Order

admin.site.register(Item, list_display=("name", "in_stock"))
admin.site.register(Order, list_display=("id", "item", "quantity", "status"))
