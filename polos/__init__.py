"""Durable workflows on the Celery, broker and database that you have.

Example::

    from pydantic import BaseModel

    from polos import PolosClient, WorkflowContext, workflow


    class Greeting(BaseModel):
        text: str


    @workflow
    async def greet(ctx: WorkflowContext, payload: dict) -> Greeting:
        name = await ctx.step.run("look_up", find_name, payload["id"])
        await ctx.step.wait_for("pause", hours=1)
        return Greeting(text=f"Hello, {name}!")


    greeting = await greet.run(PolosClient(), {"id": 7})
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from polos.public import *  # noqa: F403
    from polos.public import __all__ as __all__
else:

    def __getattr__(name: str) -> Any:
        """A public name; the first one loads them all.

        They need SQLAlchemy and Pydantic, and every start of ``celery`` imports this package for
        the sake of ``polos.cli.commands``.
        """
        is_module = name[:1].islower() and find_spec(f"{__name__}.{name}") is not None
        if is_module or (name.startswith("__") and name != "__all__"):
            # Modules come by themselves, and are needed to load the names.
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        public = importlib.import_module("polos.public")
        found = {key: getattr(public, key) for key in ("__all__", *public.__all__)}
        if name not in found:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals().update(found)
        return found[name]

    def __dir__() -> list[str]:
        """The public names too."""
        return sorted({*globals(), *__getattr__("__all__")})
