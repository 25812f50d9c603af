"""The project's Celery app, as Celery's guide has it, and Polos."""

from __future__ import annotations

import os

from celery import Celery

from polos import Polos

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.contrib.site.settings")

app = Celery("site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
polos = Polos(app)
