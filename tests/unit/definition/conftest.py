from __future__ import annotations

from collections.abc import Iterator

import pytest

from polos.definition.registry import registry


@pytest.fixture(autouse=True)
def own_workflows() -> Iterator[None]:
    """No test sees another's workflows or default client."""
    registry.set_default_client(None)
    with registry.scoped():
        yield
    registry.set_default_client(None)
