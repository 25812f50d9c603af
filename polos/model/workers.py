"""Workers, their processes and what they hold, as the rest of Polos sees them."""

from __future__ import annotations

from dataclasses import dataclass

# Above the kernel's largest, 2 ** 22.
_PIDS = 2**31


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a heartbeat learns of one execution that this process runs."""

    token: str
    held: bool
    cancel_requested: bool = False
    wakeups: int = 0


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that can hold leases; comparable for death only on the same boot and pid namespace.

    Attributes:
        worker: the Celery node name, for people.
        started: the process's start time in clock ticks since boot.
    """

    boot_id: str
    pid_namespace: str
    pid: int
    started: int
    worker: str = ""

    def __str__(self) -> str:
        return f"{self.boot_id}/{self.pid_namespace}/{self.pid}/{self.started}"

    @classmethod
    def parse(cls, text: str) -> Owner:
        """The owner that ``str`` gave; raises ValueError on anything else."""
        boot_id, pid_namespace, pid, started = text.split("/")
        owner = cls(boot_id, pid_namespace, int(pid), int(started))
        if not 0 < owner.pid < _PIDS:
            raise ValueError(f"{pid} can't be a process's id")
        return owner


@dataclass(frozen=True, slots=True)
class Bid:
    """A try to take the lease of an execution.

    Attributes:
        token: what is to hold the lease.
        lease: for how many seconds.
        accountable: whether it alone runs in that process, whose death then counts against it.
        again: whether the answer to an earlier try under this token was lost; it may have won.
    """

    execution_id: str
    workflow_id: str
    owner: Owner
    token: str
    lease: float
    accountable: bool = True
    again: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """What the workers behind one broker may run; None means anything."""

    workflows: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None


ANYTHING = Reach()


@dataclass(frozen=True, slots=True)
class SweepCounts:
    """What the sweep of one worker has done since that worker began.

    Attributes:
        sweeps: how often it swept.
        seconds: how long all of that took.
        leases_lost: executions that it took from workers that are gone.
        sent_again: hints that it sent for executions that nobody had claimed.
    """

    sweeps: int = 0
    seconds: float = 0.0
    leases_lost: int = 0
    sent_again: int = 0


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What one worker tells the others, once a second.

    Attributes:
        idle: free slots; the demand that re-dispatch follows.
        queues: the names of the queues it consumes.
        workflows: the ids of the workflows whose code it has.
        broker: the broker it consumes from, where that is one of its own process.
        counts: what its sweep has done.
    """

    name: str
    owner: str
    slots: int
    idle: int
    queues: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    broker: str = ""
    counts: SweepCounts = SweepCounts()
