"""What may be a step: one task, or a canvas that ends in one task, and how its end is heard of.

The last task of it gets a callback, and each of its tasks an errback. Celery keeps both through
``retry``, ``autoretry_for`` and ``replace``, and takes them along to workers that know nothing of
Polos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery
from celery.canvas import Signature, _chain, _chord, chunks, group

# What a signature that was sent before, or frozen, would bring along.
_OF_ANOTHER_SENDING = ("task_id", "root_id", "parent_id", "reply_to")


def split(key: str, signature: Any) -> Sequence[Signature] | None:
    """The members of a group, those of groups in it too; None for all else.

    Raises:
        TypeError: it is no signature, or not one whose end can be waited for.
    """
    if not isinstance(signature, Signature):
        raise TypeError(
            f"step {key!r} was given {_kind(signature)}; pass a signature, task.s(…), or a chain, "
            "a group or a chord of them"
        )
    if isinstance(signature, chunks):
        signature = signature.group()
    if not isinstance(signature, group):
        _check_end(key, signature)
        return None
    members: list[Signature] = []
    for member in _tasks(signature):
        members += split(key, member) or ([] if isinstance(member, group) else [member])
    return members


def prepared(signature: Signature, app: Celery, link: Signature, link_error: Signature) -> Any:
    """A copy of a signature that tells of its end."""
    copy = _copied(signature, app)
    _errors_to(copy, link_error)
    _last(copy).link(link)
    return copy


def needs_backend(signature: Any) -> bool:
    """Whether Celery has to collect results for it: a chord, or a group with a task behind it."""
    if isinstance(signature, _chord):
        return True
    if not isinstance(signature, _chain):
        return False
    tasks = _tasks(signature)
    return any(isinstance(it, group) or needs_backend(it) for it in tasks)


def _check_end(key: str, signature: Signature) -> None:
    if isinstance(_last(signature), group):
        raise TypeError(
            f"step {key!r} is a {_name(signature)} that ends in a group, whose end can't be "
            "waited for: let a task that gathers the results follow, or make the group a step of "
            "its own"
        )


def _last(signature: Any) -> Any:
    """The task whose value is that of the whole."""
    if isinstance(signature, _chain):
        tasks = _tasks(signature)
        return _last(tasks[-1]) if tasks else signature
    if isinstance(signature, _chord):
        return _last(signature.body)
    return signature


def _tasks(signature: Any) -> list[Signature]:
    return [_as_signature(it) for it in signature.tasks]


def _as_signature(found: Any) -> Signature:
    return found if isinstance(found, Signature) else Signature.from_dict(found)


def _copied(given: Any, app: Celery) -> Signature:
    """A copy that shares nothing: Celery's own clone shares what is in a group."""
    signature: Any = _as_signature(given).clone()
    if signature._app is None:
        signature._app = app
    for option in _OF_ANOTHER_SENDING:
        signature.options.pop(option, None)
    if isinstance(signature, _chain | group):
        signature.tasks = [_copied(it, app) for it in signature.tasks or ()]
    if isinstance(signature, _chord):
        header = signature.tasks
        members = header.tasks if isinstance(header, group) else header
        signature.tasks = group([_copied(it, app) for it in members or ()], app=app)
        signature.body = _copied(signature.body, app)
    return signature


def _errors_to(signature: Any, errback: Signature) -> None:
    if isinstance(signature, _chain | group):
        for task in signature.tasks or ():
            _errors_to(task, errback)
    elif isinstance(signature, _chord):
        # Also to those before the body: what it hears of their errors has neither type nor text.
        _errors_to(signature.tasks, errback)
        _errors_to(signature.body, errback)
    else:
        signature.link_error(errback)


def _kind(found: Any) -> str:
    if callable(getattr(found, "apply_async", None)):
        return f"the task {getattr(found, 'name', found)!r} itself"
    return f"a value of type {type(found).__name__}"


def _name(signature: Any) -> str:
    return "chord" if isinstance(signature, _chord) else "chain"
