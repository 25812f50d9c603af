"""A crash before and after each store statement, commit and publish of a run, and its recovery.

Each crash ends a real process, by ``os._exit`` or SIGKILL, or cuts a live one's connection; after a
commit its answer is then lost. The engine runs without Celery here: the broker is a list that is
lost with the process, so that only the store can bring an execution to its end.
"""

from __future__ import annotations

import os

import pytest

from tests.boundaries.conftest import Campaigner
from tests.boundaries.corpus import SUBJECTS

# Where the statements for MariaDB are others; the rest with BOUNDARIES=all.
ON_MARIADB = {
    "b_retries_parked",
    "b_wait_swept",
    "b_invoke_and_wait",
    "b_many_children",
    "b_family_cancelled",
    "b_retried_with_child",
    "b_pruned",
    "b_whole_retries_celery",
}
CAMPAIGNS = [
    pytest.param(kind, name, id=f"{kind}-{name}")
    for kind in ("sqlite", "postgresql", "mariadb")
    for name in SUBJECTS
    if kind != "mariadb" or name in ON_MARIADB or os.environ.get("BOUNDARIES") == "all"
]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("campaign", "name"), CAMPAIGNS, indirect=["campaign"])
def test_a_crash_at_a_boundary_changes_nothing(campaign: Campaigner, name: str) -> None:
    report = campaign(name)
    assert not report.failures, "\n\n".join(report.failures)
    assert report.tried > 0
    # On a busy machine some take another way, such as a wait that was over before it parked.
    assert report.missed <= report.tried
