"""A page to order on, and one that shows how an order gets on."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django import forms
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from shop.celery import polos

from orders.models import Order
from orders.workflows import PlacedOrder, fulfil_order


class OrderForm(forms.ModelForm):
    class Meta:
        model = Order
        fields = ("item", "quantity")


def shop(request: HttpRequest) -> HttpResponse:
    """Take an order: it and its workflow are stored together, or neither is."""
    form = OrderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            placed = form.save()
            handle = fulfil_order.start(PlacedOrder(number=placed.pk), connection=connection)
            placed.execution_id = handle.id
            placed.save()
        return redirect("order", placed.pk)
    return render(request, "orders/shop.html", {"form": form, "orders": Order.objects.all()})


def order(request: HttpRequest, number: int) -> HttpResponse:
    """Show how an order gets on; the page asks again until it has ended."""
    found = get_object_or_404(Order.objects.select_related("item"), pk=number)
    execution = async_to_sync(polos.get_execution)(found.execution_id)
    return render(request, "orders/order.html", {"order": found, "execution": execution})
