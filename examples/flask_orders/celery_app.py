"""A Celery app as many have it, and Polos bound to it."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

from polos import Polos

DATA = Path(os.environ.get("ORDERS_DATA", Path(__file__).with_name("data")))

# Files, so that no server is needed to try this out; in production Redis or RabbitMQ.
app = Celery("orders", broker=os.environ.get("BROKER_URL", "filesystem://localhost"))
if app.conf.broker_url.startswith("filesystem:"):
    for folder in ("messages", "control"):
        (DATA / folder).mkdir(parents=True, exist_ok=True)
    app.conf.broker_transport_options = {
        "data_folder_in": str(DATA / "messages"),
        "data_folder_out": str(DATA / "messages"),
        "control_folder": str(DATA / "control"),
        "polling_interval": 0.1,
    }
app.conf.polos_database_url = os.environ.get("DATABASE_URL", f"sqlite:///{DATA / 'orders.db'}")
app.conf.imports = ["workflows"]
polos = Polos(app)
