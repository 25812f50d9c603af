"""A provider of logins, as ``celery flower --auth_provider`` takes one."""

from __future__ import annotations

from flower.views import BaseHandler
from flower.views.auth import get_next_url


class KnownUser(BaseHandler):
    """Lets everybody in who comes back with a code, as one and the same."""

    def get(self) -> None:
        """Go to the provider, or come back from it."""
        if self.get_query_argument("code", ""):
            self.set_secure_cookie("user", "ada@example.com")
            self.redirect(get_next_url(self))
        else:
            self.redirect(f"https://login.example/?next={self.get_query_argument('next', '')}")
