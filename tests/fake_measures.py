"""The numbers that operators watch, counted in dictionaries; the rest is in `fake_registry`."""

from __future__ import annotations

from service.ports.telemetry import Backlog, Measures
from service.records import JobKind, JobState
from tests.fake_jobs import FakeJobs, locked


class FakeMeasures(FakeJobs):
    @locked
    def measures(self) -> Measures:
        under_way = [row for row in self.job_rows.values() if row.job.state in (JobState.QUEUED, JobState.RUNNING)]
        chunks = [
            row.job.created_at
            for row in under_way
            for chunk in row.chunks.values()
            if not chunk.settled and chunk.lease_until <= self.clock()
        ]
        waiting = {
            kind: [row.job.created_at for row in under_way if row.job.kind is kind and row.job.state is JobState.QUEUED]
            for kind in (JobKind.OPTIMISE, JobKind.FINETUNE)
        }
        due = [
            one.next_at
            for one in getattr(self, "delivery_rows", {}).values()
            if one.next_at is not None and one.next_at <= self.clock()
        ]
        active = [
            self.selection_rows[one.active_selection].created_at
            for one in self.rows.values()
            if one.active_selection is not None
        ]
        return Measures(
            backlogs={
                "embed": Backlog(len(chunks), min(chunks, default=None)),
                **{kind.value: Backlog(len(began), min(began, default=None)) for kind, began in waiting.items()},
                "maintenance": Backlog(len(due), min(due, default=None)),
            },
            examples=len(self.example_rows),
            selections=len(active),
            oldest_selection_at=min(active, default=None),
            newest_selection_at=max(active, default=None),
        )
