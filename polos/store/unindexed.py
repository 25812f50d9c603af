"""A column that only filters what an index of another one finds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from polos.store.schema import executions


class of_project(FunctionElement[bool]):  # noqa: N801
    """Whether an execution is in the parameter ``project``.

    Without statistics SQLite takes an index that begins with the project for the best one, and
    reads all that the project has ever had.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self) -> None:
        super().__init__(executions.c.project_id, bindparam("project"))


@compiles(of_project)
def _plain(element: Any, compiler: Any, **kw: Any) -> str:
    column, given = (compiler.process(it, **kw) for it in element.clauses)
    return f"{column} = {given}"


@compiles(of_project, "sqlite")
def _sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"+{_plain(element, compiler, **kw)}"
