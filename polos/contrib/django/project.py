"""Which of Polos's projects this Django project is."""

from __future__ import annotations

from typing import Any

from polos.contrib.django.databases import given_settings
from polos.definition.registry import registry
from polos.model.settings import Settings


def project_id() -> str:
    """That of ``Polos(app)``; where there is none, ``CELERY_POLOS_PROJECT_ID`` or the default."""
    client: Any = registry.default_client()
    known = getattr(client, "project_id", "")
    return str(known or given_settings().project_id)


def redact() -> tuple[str, ...]:
    """The fields that people don't get to see, from the same place."""
    known = getattr(registry.default_client(), "settings", None)
    settings: Settings = known or given_settings()
    return settings.redact
