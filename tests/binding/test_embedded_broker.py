"""The embedded broker between processes that all begin at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from kombu.utils.json import dumps

from polos.binding.app_factory import make_app, make_memory_app
from polos.binding.dispatcher import CeleryDispatcher
from polos.model.records import ExecutionId, Hint
from polos.model.settings import Settings
from tests.support.processes import ROOT

PUBLISH = """
import sys
from polos.binding.app_factory import make_app
from polos.binding.dispatcher import CeleryDispatcher
from polos.model.records import ExecutionId, Hint
from polos.model.settings import Settings

dispatcher = CeleryDispatcher(make_app(Settings()))
hints = [Hint(ExecutionId(f"{sys.argv[1]}-{n}"), "flow") for n in range(50)]
assert dispatcher.dispatch(hints) == 50
"""

CONSUME = """
import sys
from kombu import Connection
from polos.binding.app_factory import make_app
from polos.model.settings import Settings

app = make_app(Settings())
queue = app.amqp.queues["polos"]
with app.connection_for_read() as connection:
    consumer = queue(connection.default_channel)
    seen = set()
    while len(seen) < int(sys.argv[1]):
        message = consumer.get(no_ack=True)
        if message is not None:
            seen.add(message.headers["id"])
print(len(seen))
"""


def test_a_worker_can_tell_of_its_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower asks workers for their statistics, which have the broker's options in them."""
    monkeypatch.setenv("POLOS_HOME", str(tmp_path))
    for app in (make_app(Settings()), make_memory_app("queue")):
        with app.connection_for_read() as connection:
            assert "polos_stop" in dumps(connection.info())


def test_messages_are_looked_for_many_times_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look costs one listing of a folder; kombu's own pause is a second."""
    monkeypatch.setenv("POLOS_HOME", str(tmp_path))
    for app, pause in ((make_app(Settings()), 0.05), (make_memory_app("queue"), 0.01)):
        with app.connection_for_read() as connection:
            assert connection.transport.polling_interval == pause


def test_nothing_half_written_is_read(tmp_path: Path) -> None:
    """Four processes make the folders, bind and publish while a fifth reads."""
    environment = {"POLOS_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", *arguments], env=environment, stdout=subprocess.PIPE
        )

    reader = run(CONSUME, "200")
    writers = [run(PUBLISH, str(number)) for number in range(4)]
    try:
        assert [writer.wait(120) for writer in writers] == [0, 0, 0, 0]
        assert reader.communicate(timeout=120)[0].strip() == b"200"
    finally:
        for process in (reader, *writers):
            process.kill()


DOWN = """
import sys, time
from polos.binding.app_factory import make_app
from polos.binding.dispatcher import CeleryDispatcher
from polos.model.records import ExecutionId, Hint
from polos.model.settings import Settings

dispatcher = CeleryDispatcher(make_app(Settings(broker_url=sys.argv[1])))
began = time.monotonic()
assert dispatcher.dispatch([Hint(ExecutionId("a"), "flow")] * 20) == 0
print(time.monotonic() - began)
"""


def test_a_broker_that_is_away_is_not_waited_for(redis_server) -> None:
    redis_server.stop()
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", DOWN, redis_server.url],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 10
    assert "kept in the store" in done.stderr
    assert done.stderr.count("kept in the store") == 1
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "text", ["", "garbage", "[]", "5", '{"body": 5, "headers": {}}', '{"properties": 5}', "\0"]
)
def test_a_file_that_is_no_message_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    monkeypatch.setenv("POLOS_HOME", str(tmp_path))
    app = make_app(Settings())
    messages = tmp_path / "broker" / "messages"
    with app.connection_for_read() as connection:
        consumer = app.amqp.queues["polos"](connection.default_channel)
        (messages / "-garbage.polos.msg").write_text(text)
        CeleryDispatcher(app).dispatch([Hint(ExecutionId("one"), "flow")])
        assert consumer.get(no_ack=True) is None
        found = consumer.get(no_ack=True)
    assert found is not None
    assert found.headers["id"] == "one"
    assert "is no message and was removed" in caplog.text
    assert list(messages.iterdir()) == []
