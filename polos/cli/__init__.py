"""The ``polos`` command, by itself and below ``celery -A proj``."""

from polos.cli.commands import main

__all__ = ["main"]
