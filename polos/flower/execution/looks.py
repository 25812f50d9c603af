"""What a request asks to see of an execution."""

from __future__ import annotations

from dataclasses import dataclass

from tornado.web import RequestHandler

from polos.model.listing import ExecutionQuery, Place
from polos.model.records import Micros
from polos.model.steps import Asked, StepPlace

STEPS_ON_A_PAGE = 24
_CHILDREN_ON_A_PAGE = 15
_LONGEST = 255
# Parts of the page that can be asked for alone.
PARTS = ("head", "timeline", "steps", "family", "step")


@dataclass(frozen=True, slots=True)
class Look:
    """What is asked for.

    Attributes:
        part: one of ``PARTS``; empty for the whole page.
        by_order: whether long stretches of time in which nothing happened are shortened.
        steps: which steps, as in the address.
        asked: the same for the store.
        step: the key of the step whose values are shown unfolded.
        children: which of its children.
    """

    part: str
    by_order: bool
    steps: str
    asked: Asked
    step: str | None
    children: ExecutionQuery

    @classmethod
    def of(cls, handler: RequestHandler) -> Look:
        """What a request asks for; what makes no sense in it counts as not given."""
        part = handler.get_query_argument("part", "")
        step = handler.get_query_argument("step", None, strip=False)
        step = step if step is not None and is_storable(step) else None
        steps = handler.get_query_argument("steps", "")
        return cls(
            part=part if part in PARTS else "",
            by_order=handler.get_query_argument("view", "") == "order",
            steps=steps,
            asked=_asked(steps, step),
            step=step,
            children=_children(handler.get_query_argument("children", "")),
        )


def is_storable(text: str) -> bool:
    """Whether an id or a key can be this text."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return 0 < len(text) <= _LONGEST and "\0" not in text


def _asked(steps: str, step: str | None) -> Asked:
    limit = STEPS_ON_A_PAGE
    word, _, rest = steps.partition(":")
    try:
        match word:
            case "first":
                return Asked(limit=limit)
            case "after":
                return Asked(after=_place(rest), limit=limit)
            case "before":
                return Asked(before=_place(rest), limit=limit)
            case "failed":
                after = _place(rest) if rest else None
                return Asked(failed=True, after=after, limit=limit)
            case "since":
                return Asked(since=_moment(rest), limit=limit)
    except ValueError:
        pass
    if step is not None:
        return Asked(key=step, limit=limit)
    return Asked(last=True, limit=limit)


def _place(cursor: str) -> StepPlace:
    place = StepPlace.of_cursor(cursor)
    if not is_storable(place.key):
        raise ValueError(cursor)
    return place


def _moment(text: str) -> Micros:
    moment = int(text)
    if not 0 <= moment < 2**62:
        raise ValueError(text)
    return Micros(moment)


def _children(cursor: str) -> ExecutionQuery:
    after = None
    if cursor:
        try:
            after = Place.of_cursor(cursor)
        except ValueError:
            after = None
    if after is not None and not is_storable(after.id):
        after = None
    return ExecutionQuery(after=after, limit=_CHILDREN_ON_A_PAGE)
