"""Questions that a process of the test's Django project answers, in JSON on its last line.

``python -m tests.contrib.probes refusal``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import django


def refusal() -> str:
    """What is said of ``DATABASES`` when Polos is first used."""
    from polos import ConfigurationError
    from tests.contrib.site.celery import polos

    try:
        polos.get("any")
    except ConfigurationError as error:
        return str(error)
    raise AssertionError("it was taken")


QUESTIONS: dict[str, Callable[..., Any]] = {"refusal": refusal}

if __name__ == "__main__":
    django.setup()
    print(json.dumps(QUESTIONS[sys.argv[1]](*sys.argv[2:])))
