"""The files of ``docker/`` fit together, and fit the package: what they name is there."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from polos.cli.commands import COMMANDS
from polos.flower.measuring import Measured
from polos.flower.metrics import families
from polos.model.measures import Ended, Present, Spread
from polos.model.records import Micros

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
_SAMPLE = re.compile(r"\bpolos_\w+")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return found


def exported() -> set[str]:
    """The names of all samples that there can be."""
    spread = {("flow", "x"): Spread(number=1)}
    found = Measured(True, 0.1, {"p": Present(Micros(1), {}, (), ())}, {"p": Ended(spread, spread)})
    names = set()
    for family in families(found):
        names.add(family.name + ("_total" if family.type == "counter" else ""))
        names |= {sample.name for sample in family.samples}
    return names


def asked(texts: list[str]) -> set[str]:
    return {name for text in texts for name in _SAMPLE.findall(text)}


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    dashboard = json.loads((DOCKER / "grafana" / "dashboards" / "polos.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [it["query"]["query"] for it in dashboard["templating"]["list"]]
    assert len(queries) > 15
    assert asked(queries) <= exported()
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert len({(it["x"], it["y"]) for it in places}) == len(places)


def test_the_dashboard_uses_the_data_source_that_is_set_up() -> None:
    sources = yaml.safe_load(
        (DOCKER / "grafana/provisioning/datasources/prometheus.yaml").read_text()
    )
    text = (DOCKER / "grafana" / "dashboards" / "polos.json").read_text()
    assert set(re.findall(r'"uid": "(polos-\w+)"', text)) == {sources["datasources"][0]["uid"]}


def test_the_alerts_ask_for_metrics_that_there_are() -> None:
    rules = yaml.safe_load((DOCKER / "prometheus" / "alerts.yml").read_text())
    queries = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    assert asked(queries) <= exported()
    assert queries


def test_the_page_has_all_metrics() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    suffixes = re.compile(r"_(bucket|count|sum|created)$")
    families_ = {suffixes.sub("", name) for name in exported()}
    written = {
        name for line in page.splitlines() if line.startswith("| `") for name in asked([line])
    }
    assert {name.removesuffix("_total") for name in written} == {
        name.removesuffix("_total") for name in families_
    }


def test_what_is_mounted_is_there(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
            assert source in compose["volumes"] or (DOCKER / source).exists(), (name, volume)


def test_its_commands_are_there(compose: dict[str, Any]) -> None:
    parts = [
        part
        for service in compose["services"].values()
        for part in (service.get("command", ""), *service.get("healthcheck", {}).get("test", ()))
        if isinstance(part, str)
    ]
    used = {word for part in parts for word in re.findall(r"^polos ([a-z]+)", part)}
    assert {"migrate", "server"} <= used <= set(COMMANDS), used


def test_all_services_are_watched_and_come_back(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped"), name
        if name not in {"migrate", "prometheus", "grafana"}:
            assert service["healthcheck"]["test"], name
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name


def test_the_image_needs_no_root_and_has_what_compose_needs() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    final = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001", final, re.MULTILINE)
    extras = re.search(r'"\.\[([\w,]+)\]"', text)
    assert extras is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])
