"""Environments of the peers, one each below ``.bench/``, pinned, made once and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".bench"
_DONE = "installed"
_MINUTES = 10


class CannotInstall(Exception):
    """A peer that is left out, and why."""


@dataclass(frozen=True)
class Environment:
    """What one peer needs.

    Attributes:
        packages: exact requirements from the index of Python packages.
        node: exact packages of npm, as ``npm install`` takes them.
    """

    name: str
    packages: tuple[str, ...]
    node: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return FOLDER / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def node_modules(self) -> Path:
        """Where npm puts packages."""
        return self.folder / "node_modules"

    @property
    def versions(self) -> str:
        """Its pins, as a report shows them."""
        return ", ".join((*self.packages, *self.node))

    def ready(self) -> bool:
        """Whether just these pins are installed for this Python."""
        mark = self.folder / _DONE
        return mark.exists() and mark.read_text() == self._mark()

    def make(self) -> None:
        """Install it, unless that was done before.

        Raises:
            CannotInstall: with the last line that the installer said.
        """
        if self.ready():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        _run([sys.executable, "-m", "venv", self.folder])
        _run([self.python, "-m", "pip", "install", "--quiet", *self.packages])
        if self.node:
            npm = shutil.which("npm")
            if npm is None:
                raise CannotInstall("needs npm, which is not on the PATH")
            _run(
                [
                    npm,
                    "install",
                    "--prefix",
                    self.folder,
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    *self.node,
                ]
            )
        (self.folder / _DONE).write_text(self._mark())

    def _mark(self) -> str:
        wanted = "\n".join((sys.version, *self.packages, *self.node))
        return hashlib.sha256(wanted.encode()).hexdigest()


def make_all(environments: Sequence[Environment]) -> dict[str, str]:
    """Make them; the names of those that can't be had, with the reason."""
    missing = {}
    for environment in environments:
        try:
            environment.make()
        except CannotInstall as error:
            missing[environment.name] = str(error)
    return missing


def _run(command: Sequence[str | Path]) -> None:
    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=_MINUTES * 60,
            env=_environment(),
        )
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"not installed within {_MINUTES} minutes") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip().splitlines()
        reason = next((x for x in reversed(said) if x.startswith("ERROR")), (said or ["?"])[-1])
        raise CannotInstall(reason) from None


def _environment() -> Mapping[str, str]:
    unwanted = ("PYTHONPATH", "PYTHONHOME")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
