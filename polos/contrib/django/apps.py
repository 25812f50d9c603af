"""The app's configuration, which Django finds by itself."""

from __future__ import annotations

from django.apps import AppConfig
from django.db import close_old_connections
from django.utils.module_loading import autodiscover_modules

from polos.engine.resting import when_thread_rests


class PolosConfig(AppConfig):
    """``"polos.contrib.django"`` in ``INSTALLED_APPS``."""

    name = "polos.contrib.django"
    label = "polos"
    verbose_name = "Polos"

    def ready(self) -> None:
        """Find the apps' workflows, and close connections where steps have run."""
        when_thread_rests(close_old_connections)
        autodiscover_modules("workflows")
