"""What a Flower would be told by its command line, its environment and its configuration file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flower import command
from tornado.options import options

from polos.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Chosen:
    """The options that matter to where a server is, and who may use it.

    Attributes:
        address: where it listens; empty for everywhere.
        prefix: of all paths, without slashes around it.
        secure: whether it speaks TLS.
        options: all of them.
    """

    address: str
    port: int
    prefix: str
    secure: bool
    options: Any


def chosen_by(words: Sequence[str]) -> Chosen:
    """What Flower would make of these words; its configuration file is executed for that.

    Raises:
        ConfigurationError: it would not start with them.
    """
    _check(words)
    try:
        command.apply_env_options()
        # Or it would set up the logging of this process.
        command.apply_options("flower", [*words, "--logging=none"])
    except KeyError as error:
        raise ConfigurationError(f"FLOWER_… in the environment: {error} is no option") from error
    except Exception as error:  # of a configuration file, which is executed
        raise ConfigurationError(f"Flower's options: {error}") from error
    return Chosen(
        address=options.address or "",
        port=int(options.port),
        prefix=(options.url_prefix or "").strip("/"),
        secure=bool(options.certfile and options.keyfile),
        options=options,
    )


def _check(words: Iterable[str]) -> None:
    """Flower itself passes over what it doesn't know."""
    for word in words:
        if not word.startswith("-") or not command.is_flower_option(word):
            raise ConfigurationError(
                f"{word!r} is no option of Flower; 'celery flower --help' and Flower's "
                "documentation have them, written --name=value"
            )
