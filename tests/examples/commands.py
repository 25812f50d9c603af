"""The commands of a README, as a reader types them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.examples.test_documents import blocks


def commands(readme: Path, changes: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """What stands behind each ``$`` of the console blocks, by the line without its comment.

    Args:
        readme: the document.
        changes: texts to put in the place of others, such as a free port for the one that is named.
    """
    found = {}
    for text in blocks(readme, "console"):
        for line in map(str.strip, text.splitlines()):
            if line.startswith("$ "):
                command = line[2:].partition("  #")[0].strip()
                found[command] = _runnable(command, changes or {})
    return found


def _runnable(command: str, changes: Mapping[str, str]) -> list[str]:
    for old, new in changes.items():
        command = command.replace(old, new)
    words = shlex.split(command)
    at = next(place for place, word in enumerate(words) if "=" not in word)
    settings, [name, *rest] = words[:at], words[at:]
    # What pip has installed is beside Python.
    program = sys.executable if name == "python" else str(Path(sys.executable).with_name(name))
    return ["env", *settings, program, *rest] if settings else [program, *rest]
