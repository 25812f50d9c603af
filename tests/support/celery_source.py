"""The examples that Celery ships, out of the source distribution of the Celery that is installed.

None of them is kept here: pip fetches the distribution once, into an ignored folder. ``python -m
tests.support.celery_source`` does that beforehand, for tests that run without a network.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".celery-source"
_PIP_SECONDS = 150


class NoExamples(Exception):
    """The examples could not be had."""


def celery_examples() -> Path:
    """The folder ``examples`` of the installed Celery's source.

    Raises:
        NoExamples: pip could not fetch it, or it is of another version.
    """
    release = version("celery")
    kept = CACHE / release / "examples"
    if not kept.is_dir():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            _unpack(_download(release, Path(folder)), release, Path(folder))
            kept.parent.mkdir(exist_ok=True)
            try:
                (Path(folder) / f"celery-{release}" / "examples").rename(kept)
            except OSError:
                # Another test process may have been faster.
                if not kept.is_dir():
                    raise
    return kept


def _download(release: str, to: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
    wanted = ["--no-binary", "celery", "--dest", to, f"celery=={release}"]
    try:
        pip = subprocess.run([*command, *wanted], capture_output=True, timeout=_PIP_SECONDS)
        said = pip.stderr.decode(errors="replace")[-2000:]
    except subprocess.TimeoutExpired:
        said = f"nothing after {_PIP_SECONDS} s"
    found = sorted(to.glob("celery-*.tar.gz"))
    if not found:
        raise NoExamples(
            f"The examples of Celery {release} are not in {CACHE}, and pip could not fetch the "
            f"source distribution, so nothing was tried. pip says:\n{said}"
        )
    return found[0]


def _unpack(archive: Path, release: str, to: Path) -> None:
    inside = f"celery-{release}/"
    with tarfile.open(archive) as source:
        files = {it.name: it for it in source if it.isfile()}
        wanted = [it for name, it in files.items() if name.startswith(f"{inside}examples/")]
        about = files.get(f"{inside}PKG-INFO")
        if not wanted or not about or f"\nVersion: {release}\n" not in _text(source, about):
            raise NoExamples(f"{archive.name} has no examples of Celery {release}, the installed")
        for file in wanted:
            target = (to / file.name).resolve()
            assert target.is_relative_to(to.resolve()), file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_text(source, file))


def _text(source: tarfile.TarFile, file: tarfile.TarInfo) -> str:
    content = source.extractfile(file)
    assert content is not None
    return content.read().decode()


if __name__ == "__main__":
    try:
        celery_examples()
    except NoExamples as missing:
        sys.exit(str(missing))
