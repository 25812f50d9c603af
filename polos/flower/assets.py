"""The scripts and styles of the tab."""

from __future__ import annotations

from pathlib import Path

from tornado.web import HTTPError, StaticFileHandler, url

FOLDER = Path(__file__).parent / "static"


class Assets(StaticFileHandler):
    """A script or style; ``reverse_url("polos_static", name)`` is its address."""

    def parse_url_path(self, url_path: str) -> str:
        """Tornado's own, which gives no answer to a name that no file can have."""
        if "\0" in url_path:
            raise HTTPError(404)
        return super().parse_url_path(url_path)

    def set_extra_headers(self, path: str) -> None:
        """Asked for anew each time, which costs a 304: after an upgrade no old one is used."""
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Content-Type-Options", "nosniff")


# A named ``url``: below a prefix, Flower keeps the arguments of nothing else.
ASSETS = url(r"/polos/static/(.*)", Assets, {"path": str(FOLDER)}, name="polos_static")
