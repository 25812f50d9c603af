"""The Celery app, as Celery's guide for Django has it, and one line more."""

from __future__ import annotations

import os

from celery import Celery

from polos import Polos

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
polos = Polos(app)
