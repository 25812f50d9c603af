"""As Celery's guide has it: the app is there wherever Django is."""

from tests.contrib.site.celery import app as celery_app

__all__ = ["celery_app"]
