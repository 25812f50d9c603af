"""A crash before and after each store statement, commit and publish of a run, and its recovery.

Each crash ends a real process, by ``os._exit`` or SIGKILL, or cuts a live one's connection; after a
commit its answer is then lost. The engine runs without Celery here: the broker is a list that is
lost with the process, so that only the store can bring an execution to its end.
"""

from __future__ import annotations

import pytest

from tests.boundaries.conftest import Campaigner
from tests.boundaries.corpus import SUBJECTS


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_crash_at_a_boundary_changes_nothing(campaign: Campaigner, name: str) -> None:
    report = campaign(name)
    assert not report.failures, "\n\n".join(report.failures)
    assert report.tried > 0
    # On a busy machine some take another way, such as a wait that was over before it parked.
    assert report.missed <= report.tried
