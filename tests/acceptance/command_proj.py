"""A project of somebody's own: an app, and Polos bound to it."""

from __future__ import annotations

import os

from celery import Celery

from polos import Polos

app = Celery("command_proj", set_as_current=False, broker=os.environ["PROJ_BROKER"])
app.conf.polos_database_url = os.environ["PROJ_DATABASE"]
app.conf.polos_auto_migrate = os.environ.get("PROJ_MIGRATE", "1") == "1"
app.conf.imports = ["tests.acceptance.command_flows"]
polos = Polos(app)

# What a program has that never heard of Polos.
bare = Celery("bare", set_as_current=False, broker=os.environ["PROJ_BROKER"])

# What gets Polos only with the modules that it imports.
late = Celery("late", set_as_current=False, broker=os.environ["PROJ_BROKER"])
late.conf.imports = ["tests.acceptance.late_binding"]
