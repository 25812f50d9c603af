"""The shop's pages, and the admin."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from orders import views

urlpatterns = [
    path("", views.shop, name="shop"),
    path("orders/<int:number>/", views.order, name="order"),
    path("admin/", admin.site.urls),
]
