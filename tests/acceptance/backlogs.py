"""What became of a long queue: begins in the ledger, messages in the worker's log."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from polos import PolosClient
from polos.model.records import Hint
from tests.acceptance import flows
from tests.acceptance.ledger import Entry, Ledger
from tests.support.bulk import queue_many
from tests.support.processes import Program


def queue_up(client: PolosClient, count: int) -> list[Hint]:
    """So many executions in the store, due since a moment ago, and a message for each."""
    payload = flows.quick.encode_payload(None)
    hints = queue_many(client.bound.store, flows.quick.id, payload, count)
    assert client.bound.dispatcher.dispatch(hints) == count
    return hints


def begins(ledger: Ledger) -> list[Entry]:
    """When each execution's only step began, oldest first."""
    return [entry for entry in ledger.everything() if entry.phase == "begin"]


def longest_gap(entries: list[Entry]) -> float:
    """The longest time between two begins, in seconds."""
    return max((later.at - sooner.at for sooner, later in pairwise(entries)), default=0.0)


def rate(entries: list[Entry]) -> float:
    """Begins a second."""
    return (len(entries) - 1) / (entries[-1].at - entries[0].at)


def messages(worker: Program) -> Counter[str]:
    """How many messages the worker got of each execution."""
    return Counter(re.findall(r"Task polos\.\S+\[(\S+)\] received", worker.text()))
