"""A RabbitMQ for tests, from the system's package, with ports of 127.0.0.1 and folders of its own.

The node is not a service: it runs beside one that is installed, and ends with the test.
"""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from pathlib import Path

import psutil
from kombu import Connection

from tests.support.processes import Program, until
from tests.support.servers import HOST, Server, free_port

# The script itself: what is on the PATH changes to a user who can't get at the test's folder.
_BINARIES = Path("/usr/lib/rabbitmq/bin")
_START_SECONDS = 120.0
# Its schedulers must not spin where others want the processor.
_ERLANG = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"


class RabbitServer(Server):
    """A RabbitMQ whose durable queues and messages outlive ``restart``."""

    name = "rabbitmq"

    def __init__(self, port: int | None = None) -> None:
        assert (_BINARIES / "rabbitmq-server").exists(), (
            "no RabbitMQ: on Debian and Ubuntu, apt-get install rabbitmq-server"
        )
        super().__init__(port)
        self._dist_port, self._epmd_port = free_port(), free_port()
        self._epmd: Program | None = None

    @property
    def url(self) -> str:
        """As Celery takes it."""
        return f"amqp://guest:guest@{HOST}:{self.port}//"

    def stop(self) -> None:
        """End it in an orderly way."""
        assert self._program is not None
        self._program.stop(_START_SECONDS)

    def restart(self) -> None:
        """Stop the broker and start it again, within its node: that is up again much sooner."""
        self._eval("rabbit:stop(), rabbit:start().")

    def virtual_host(self, name: str) -> str:
        """A broker within it, with queues of its own; as Celery takes it."""
        everything = 'Every = <<".*">>'
        self._eval(
            f'Host = <<"{name}">>, User = <<"guest">>, {everything}, '
            "ok = rabbit_vhost:add(Host, User), "
            "ok = rabbit_auth_backend_internal:set_permissions"
            "(User, Host, Every, Every, Every, User)."
        )
        return f"amqp://guest:guest@{HOST}:{self.port}/{name}"

    def kill(self) -> None:
        """SIGKILL to all of it: what is started is a script, the node is its child."""
        assert self._program is not None
        children = self._program.children()
        self._program.kill(signal.SIGKILL, group=True)
        self._program.wait()
        psutil.wait_procs(children, timeout=10)

    def purge(self, queue: str) -> int:
        """Forget the messages of a queue that nobody has fetched; how many those were."""
        with Connection(self.url, connect_timeout=5) as connection:
            channel = connection.channel()
            return int(channel.queue_purge(queue) or 0)

    def delete(self, queue: str) -> None:
        """Remove a queue with all its messages."""
        with Connection(self.url, connect_timeout=5) as connection:
            connection.channel().queue_delete(queue)

    def answers(self) -> bool:
        """Whether it speaks AMQP."""
        with suppress(OSError), socket.create_connection((HOST, self.port), 5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(connection.recv(1))
        return False

    def start(self) -> RabbitServer:
        """Start it and wait until it answers; slower than the others do."""
        if self.running:
            self.thaw()
            return self
        if self._program is not None:
            self._program.close()
        self._program = self._launch()
        self._program.wait_for(self.answers, _START_SECONDS)
        return self

    def close(self) -> None:
        """End it and remove its folder."""
        super().close()
        if self._epmd is not None:
            self._epmd.close()

    def _eval(self, expression: str) -> None:
        command = [_BINARIES / "rabbitmqctl", "eval", expression]
        env, log = self._environment(), self.folder / "rabbitmqctl.log"
        with Program(command, log=log, cwd=self.folder, env=env) as rabbitmqctl:
            assert rabbitmqctl.wait(_START_SECONDS) == 0, rabbitmqctl.tail()

    def _launch(self) -> Program:
        env = self._environment()
        if self._epmd is None:
            # Else the node starts one that outlives it, listening everywhere.
            command = ["epmd", "-address", HOST, "-port", str(self._epmd_port)]
            self._epmd = Program(command, log=self.folder / "epmd.log", env=env).start()
            until(self._epmd_answers, message="epmd")
        return Program(
            [_BINARIES / "rabbitmq-server"],
            log=self.log,
            name=self.name,
            cwd=self.folder,
            env=env,
            last_signal=signal.SIGKILL,
        ).start()

    def _epmd_answers(self) -> bool:
        with suppress(OSError), socket.create_connection((HOST, self._epmd_port), 5):
            return True
        return False

    def _environment(self) -> dict[str, str]:
        plugins, conf = self.folder / "enabled_plugins", self.folder / "rabbitmq.conf"
        if not plugins.exists():
            plugins.write_text("[].\n")
            conf.write_text(f"listeners.tcp.local = {HOST}:{self.port}\n")
        return {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"polos{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONFIG_FILE": str(conf),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none.conf"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": HOST,
        }

    def _end(self) -> None:
        self.kill()
