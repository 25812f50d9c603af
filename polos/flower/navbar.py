"""The tab in Flower's navigation."""

from __future__ import annotations

import re

# The link of the last tab in Flower's own template, behind which ours comes.
_LAST_TAB = re.compile(r"reverse_url\(\s*['\"]broker['\"]\s*\)")
_END = "</li>"
_TAB = """
        {% if served_of(handler.application.capp) %}
        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'workflows' %} active{% end %}"
            href="{{ reverse_url('polos_workflows') }}"
            {% if active_tab == 'workflows' %}aria-current="page"{% end %}>Workflows</a>
        </li>
        {% end %}"""
_IMPORT = "{% from polos.server.served import served_of %}\n"


def with_tab(navbar: str) -> str | None:
    """Flower's navigation with the tab behind its last one; None where there is no place for it."""
    last = _LAST_TAB.search(navbar)
    end = navbar.find(_END, last.end()) if last else -1
    if end < 0:
        return None
    end += len(_END)
    return _IMPORT + navbar[:end] + _TAB + navbar[end:]
