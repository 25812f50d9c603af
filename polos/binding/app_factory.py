"""Celery apps of Polos's own: for programs that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery import Celery

from polos.binding.embedded_broker import MEMORY_SCHEME, SCHEME, STOP, StopEvent, install
from polos.model.settings import Settings, find_home

QUEUE = "polos"
_POLLING = 0.05


def make_app(settings: Settings, *, name: str = "polos") -> Celery:
    """A Celery app on the configured broker, or on the embedded one.

    Args:
        settings: ``broker_url`` is used; the embedded filesystem broker where it is empty or ``filesystem://``.
        name: the app's main name.
    """
    embedded = not settings.broker_url or settings.broker_url.startswith("filesystem:")
    install()
    app = Celery(name, set_as_current=False)
    app.conf.update(
        broker_url=f"{SCHEME}://localhost" if embedded else settings.broker_url,
        broker_transport_options=_transport_options() if embedded else {},
        broker_connection_retry_on_startup=True,
        task_default_queue=QUEUE,
        worker_prefetch_multiplier=1,
    )
    return app


def make_memory_app(queue: str) -> Celery:
    """A Celery app whose messages never leave this process."""
    install()
    app = Celery("polos-embedded", set_as_current=False)
    app.conf.update(
        broker_url=f"{MEMORY_SCHEME}://localhost",
        broker_transport_options={"polling_interval": 0.01, STOP: StopEvent()},
        task_default_queue=queue,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
    )
    return app


def _transport_options() -> dict[str, Any]:
    home = find_home() / "broker"
    folders = {name: str(_made(home / name)) for name in ("messages", "control", "processed")}
    return {
        "data_folder_in": folders["messages"],
        "data_folder_out": folders["messages"],
        "processed_folder": folders["processed"],
        "control_folder": folders["control"],
        "store_processed": False,
        STOP: StopEvent(),
        "polling_interval": _POLLING,
    }


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
