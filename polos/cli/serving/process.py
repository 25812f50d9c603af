"""What runs in a process that the command line starts: a command of Celery, on a leash.

``python -m polos.cli.serving.process -A proj flower …`` differs from ``celery -A proj flower …`` in
three things: options that may hold secrets don't show in the list of processes, it ends with
whoever holds the leash, and a server ends in time, whatever its threads still wait for.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from celery.__main__ import main as celery

MODULE = "polos.cli.serving.process"
# A JSON list of more words of the command line, and the number of the leash's file.
WORDS = "POLOS_PROCESS_WORDS"
LEASH = "POLOS_PROCESS_LEASH"

# For threads that ask a broker or a database which doesn't answer.
_END_SECONDS = 3.0


def main() -> None:
    """Run the command that the arguments and the environment name."""
    words = [*sys.argv[1:], *json.loads(os.environ.pop(WORDS, "[]"))]
    sys.argv = ["celery", *words]
    leash = os.environ.pop(LEASH, "")
    if leash:
        threading.Thread(target=_end_with, args=[int(leash)], daemon=True).start()
    try:
        celery()
    except SystemExit as ended:
        if "flower" in words:
            _end_in_time(ended)
        raise


def _end_with(leash: int) -> None:
    """Wait until nobody holds the other end; a signal then ends this process as it ends others."""
    os.read(leash, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _end_in_time(ended: SystemExit) -> None:
    code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    late = threading.Timer(_END_SECONDS, os._exit, [code])
    late.daemon = True
    late.start()


if __name__ == "__main__":
    main()
