"""The part of the storage contract that people and programs look and act through."""

from __future__ import annotations

from polos.model.finding import Count, Found, Sought
from polos.model.listing import ExecutionPage, ExecutionQuery
from polos.model.measures import Ended, Present
from polos.model.records import Execution, Hint, Micros, Progress
from polos.model.states import Status
from polos.model.statistics import Day
from polos.model.steps import Asked, Family, Head, StepPage
from polos.store import (
    cancelling,
    counting,
    expiring,
    finding,
    forking,
    heads,
    households,
    listing,
    measures,
    progress,
    projects,
    pruning,
    retrying,
    statistics,
)
from polos.store.database import Database
from polos.store.forking import Fork


class ControlStore:
    """What is done with executions from outside of their attempts.

    Attributes:
        database: where they are.
        project_id: only executions of this project are seen.
    """

    database: Database
    project_id: str

    def list_executions(self, query: ExecutionQuery) -> ExecutionPage:
        """One page of a list, newest first."""
        return listing.list_executions(self.database, self.project_id, query)

    def find(self, sought: Sought) -> Found:
        """One page of what somebody looks for, whatever that is, within bounds."""
        return finding.find(self.database, self.project_id, sought)

    def counts(self, sought: Sought) -> dict[Status, Count]:
        """How many of what somebody looks for are in each state, as far as people care."""
        return counting.counts(self.database, self.project_id, sought)

    def workflows(self) -> tuple[str, ...]:
        """The workflows that have executions or a worker, sorted; the first 200."""
        return projects.workflows(self.database, self.project_id)

    def projects(self) -> tuple[str, ...]:
        """The projects that have executions in this database, sorted; the first 200."""
        return projects.projects(self.database)

    def day(self) -> Day:
        """The last 24 hours of each workflow; much is looked at for it."""
        return statistics.day(self.database, self.project_id)

    def progress(self, execution_id: str) -> Progress:
        """How far an execution of this project has come."""
        return progress.of(self.database, execution_id)

    def head(self, execution_id: str) -> Head | None:
        """An execution of this project without the whole of its values; None for an unknown id."""
        return heads.head(self.database, self.project_id, execution_id)

    def steps(self, head: Head, asked: Asked) -> StepPage:
        """One page of an execution's steps, each with its child, if it has one that is there."""
        return households.steps(self.database, self.project_id, head, asked)

    def family(self, head: Head, children: ExecutionQuery) -> Family:
        """The executions around one: above it, beside it, and a page of those below it."""
        return households.family(self.database, self.project_id, head, children)

    def whole(
        self, execution_id: str, step_key: str | None, name: str
    ) -> tuple[bool, bytes | None]:
        """One value of an execution or a step as it is stored, and whether there are such."""
        return heads.whole(self.database, self.project_id, execution_id, step_key, name)

    def present(self) -> Present:
        """How the project stands, for a monitoring system."""
        return measures.present(self.database, self.project_id)

    def ended_between(self, after: Micros, until: Micros) -> Ended:
        """What ended after one moment and not after another."""
        return measures.ended(self.database, self.project_id, after, until)

    def retry(self, execution_id: str) -> tuple[Hint, ...]:
        """Queue a failed execution again, to go on from where it failed.

        Raises:
            ExecutionNotFound: there is none of that id.
            IllegalTransition: it has not failed.
        """
        return retrying.retry(self.database, self.project_id, execution_id)

    def fork(self, asked: Fork) -> Execution:
        """Write an execution that begins with what another one had recorded before a step.

        Raises:
            ExecutionNotFound: there is none of that id.
            StepNotFound: it has no such step.
        """
        return forking.fork(self.database, self.project_id, asked)

    def cancel(self, execution_id: str) -> tuple[bool, tuple[Hint, ...]]:
        """Cancel an execution and its open children; False where it had ended."""
        return cancelling.cancel(self.database, self.project_id, execution_id)

    def revoke(self, execution_id: str) -> tuple[Hint, ...]:
        """End an execution at once as cancelled, whoever runs it; its children are cancelled."""
        return cancelling.revoke(self.database, self.project_id, execution_id)

    def expire_unstarted(self, most: int) -> tuple[Hint, ...]:
        """End what was not begun in time."""
        return cancelling.expire_unstarted(self.database, self.project_id, most)

    def finish_descents(self, most: int) -> tuple[Hint, ...]:
        """Go on where cancelling downwards was broken off."""
        return cancelling.finish_descents(self.database, self.project_id, most)

    def expire(self, most: int, grace: float) -> tuple[Hint, ...]:
        """End executions whose time is over, cleaning up for ``grace`` seconds at most."""
        return expiring.expire(self.database, self.project_id, most, grace)

    def prune(self, older_than: float, most: int) -> int:
        """Delete at most so many executions that ended ``older_than`` seconds ago; how many."""
        return pruning.prune(self.database, self.project_id, older_than, most)
