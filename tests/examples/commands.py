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
        for line in text.splitlines():
            if line.startswith("$ "):
                command = line[2:].partition("  #")[0].strip()
                found[command] = _runnable(command, changes or {})
    return found


def _runnable(command: str, changes: Mapping[str, str]) -> list[str]:
    for old, new in changes.items():
        command = command.replace(old, new)
    words = shlex.split(command)
    if words[0] == "python":
        return [sys.executable, *words[1:]]
    # What pip has put beside Python.
    return [str(Path(sys.executable).with_name(words[0])), *words[1:]]
