"""Binds Polos to an app when that imports its tasks, and no earlier."""

from __future__ import annotations

import os

from polos import Polos
from tests.acceptance.command_proj import late

late.conf.polos_database_url = os.environ["PROJ_DATABASE"]
late.conf.polos_auto_migrate = True
polos = Polos(late)
