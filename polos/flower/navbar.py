"""The tab in Flower's navigation."""

from __future__ import annotations

# What comes before the tab in Flower's own template, and what the tab is made of.
_LAST_TAB = "{% if active_tab == 'broker' %}"
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
    last = navbar.rfind(_LAST_TAB)
    end = navbar.find(_END, last)
    if last < 0 or end < 0:
        return None
    end += len(_END)
    return _IMPORT + navbar[:end] + _TAB + navbar[end:]
