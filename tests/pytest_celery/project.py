"""The project that the workers of the suite run: ``celery -A tests.pytest_celery.project``."""

from __future__ import annotations

from celery import Celery

from polos import Polos
from tests.pytest_celery import flows

# Broker, results and database are in the environment.
app = Celery("suite")
polos = Polos(app)
assert flows.steps.id
