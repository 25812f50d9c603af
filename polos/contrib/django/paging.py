"""Pages of a table that may have millions of rows: they are never all counted."""

from __future__ import annotations

import json
from typing import Any

from django.core.paginator import Paginator
from django.db import connections
from django.utils.functional import cached_property

_COUNTED = 10_000


class EstimatingPaginator(Paginator):
    """Counts exactly as far as 10,000; above that PostgreSQL's planner is asked for a guess."""

    @cached_property
    def count(self) -> Any:
        """How many rows there are, about."""
        rows: Any = self.object_list
        counted: int = rows.order_by()[: _COUNTED + 1].count()
        if counted <= _COUNTED:
            return counted
        if connections[rows.db].vendor != "postgresql":
            return _COUNTED
        plan = json.loads(rows.order_by().explain(format="json"))
        return max(_COUNTED, int(plan[0]["Plan"]["Plan Rows"]))
