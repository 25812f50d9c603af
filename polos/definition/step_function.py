"""What is handed to ``ctx.step.run``: mistakes that can be told before anything runs."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Iterable
from typing import Any

from polos.definition.annotations import signature_of
from polos.definition.workflow_class import Workflow
from polos.errors import ConfigurationError

_AWAITED = ("Awaitable", "Coroutine", "Future", "Task")


def check_function(key: str, function: Any) -> None:
    """Raise TypeError unless a step can call ``function``."""
    if type(function) is types.FunctionType:
        return
    if inspect.isawaitable(function):
        if inspect.iscoroutine(function):
            function.close()  # else Python warns that nobody awaited it
        raise TypeError(
            f"step {key!r} was given {_kind(function)}: pass the function and its arguments, "
            f"run({key!r}, func, arg), and don't call it, run({key!r}, func(arg))"
        )
    if isinstance(function, Workflow):
        raise TypeError(
            f"step {key!r} was given the workflow {function.id!r}; start it with "
            "ctx.step.invoke_and_wait() or ctx.step.invoke()"
        )
    if not callable(function):
        raise TypeError(
            f"step {key!r} was given a value of type {type(function).__name__}, which can't be "
            f"called: pass the function itself, run({key!r}, func, arg)"
        )


def check_plain(key: str, function: Any) -> None:
    """Raise TypeError for the function of a transaction step that is an ``async def``."""
    if is_async(function):
        raise TypeError(
            f"the transaction step {key!r} was given the 'async def' {_name(function)}; pass a "
            "plain function, which takes the connection as its first argument"
        )


def check_timeout(key: str, function: Any, timeout: float | None) -> None:
    """Raise ConfigurationError for a time limit on a function that is known to block."""
    if timeout is None or not _surely_blocks(function):
        return
    raise ConfigurationError(
        f"step {key!r} has a timeout but {_name(function)} is no 'async def', and a plain function "
        f"can't be interrupted: run it in a thread, run({key!r}, asyncio.to_thread, func, arg, "
        "timeout=…), or limit the workflow's task, @workflow(celery={'time_limit': …}). If it "
        "returns an awaitable, annotate that or pass a lambda"
    )


def is_async(function: Any) -> bool:
    """Whether it is an ``async def``, or an object whose call is one."""
    if type(function) is types.FunctionType and not function.__dict__:
        # Nothing marks or wraps it: this is what inspect comes to after many calls.
        return bool(function.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def error_types(name: str, given: Any) -> tuple[type[BaseException], ...]:
    """One exception class or several, as a tuple.

    Raises:
        TypeError: one of them is no exception class.
    """
    if given == ():
        return ()
    several = isinstance(given, Iterable) and not isinstance(given, type | str)
    classes: tuple[Any, ...] = tuple(given) if several else (given,)
    for item in classes:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise TypeError(f"{name} holds {item!r}; pass an exception class or a tuple of them")
    return classes


def _surely_blocks(function: Any) -> bool:
    # A lambda, a partial of one, a callable object or a built-in may return an awaitable.
    while isinstance(function, functools.partial):
        function = function.func
    inner = inspect.unwrap(function)
    inner = inner.__func__ if isinstance(inner, types.MethodType) else inner
    if not isinstance(inner, types.FunctionType) or inner.__name__ == "<lambda>":
        return False
    if inspect.iscoroutinefunction(inner):
        return False
    return not _may_be_awaited(signature_of(inner).return_annotation)


def _may_be_awaited(annotation: Any) -> bool:
    if annotation in (None, inspect.Signature.empty):
        return False
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return annotation is Any or hasattr(annotation, "__await__") or _mentions_awaitable(text)


def _mentions_awaitable(text: str) -> bool:
    return text.endswith("Any") or any(word in text for word in _AWAITED)


def _kind(awaitable: Any) -> str:
    return "a coroutine" if inspect.iscoroutine(awaitable) else f"a {type(awaitable).__name__}"


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
