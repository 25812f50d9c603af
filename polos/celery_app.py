"""The composition root: ``celery -A polos.celery_app worker`` runs workflows.

Which ones says ``POLOS_WORKFLOWS``: modules or files, separated by commas. ``POLOS_BROKER_URL`` and
``POLOS_DATABASE_URL`` say where; the embedded broker and database in ``.polos/`` where unset.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

from polos.binding.app_factory import QUEUE, make_app
from polos.binding.bound import Bound
from polos.definition.registry import registry
from polos.errors import ConfigurationError
from polos.model.settings import Settings


def load_workflows(names: str) -> None:
    """Import the modules and files that define workflows.

    Args:
        names: separated by commas; what ends in ``.py`` is a file.

    Raises:
        ConfigurationError: one of them can't be found.
    """
    sys.path.insert(0, "") if "" not in sys.path else None
    for name in filter(None, (part.strip() for part in names.split(","))):
        if name.endswith(".py"):
            _load_file(Path(name))
        else:
            _load_module(name)


def _load_module(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise
        raise ConfigurationError(
            f"POLOS_WORKFLOWS names the module {name!r}, which can't be found from {Path.cwd()}; "
            "start in the folder that holds it, or set PYTHONPATH"
        ) from error


def _load_file(path: Path) -> None:
    if not path.is_file():
        raise ConfigurationError(
            f"POLOS_WORKFLOWS names the file {str(path)!r}, which is not there (from {Path.cwd()})"
        )
    if path.stem in sys.modules:
        return
    # As a script's folder is: the file may import its neighbours.
    sys.path.insert(0, str(path.resolve().parent))
    importlib.import_module(path.stem)


def _queues() -> dict[str, dict[str, str]]:
    own = {workflow.queue for workflow in registry.all() if workflow.queue}
    return {name: {"exchange": name, "routing_key": name} for name in (QUEUE, *sorted(own))}


settings = Settings.load()
app = make_app(settings)
load_workflows(settings.workflows)
app.conf.task_queues = _queues()
polos = Bound(app, settings)
