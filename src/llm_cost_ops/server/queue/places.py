"""Places of a worker, and who may take how many of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llm_cost_ops.server.queue.work import Job


@dataclass(frozen=True, slots=True)
class Free:
    """So many jobs may be taken now, and none of these organizations and kinds."""

    count: int
    without: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Kinds with places in common, and the jobs that hold some.

    Where the places are `shared`, jobs of one organization and kind have at most half of them:
    strangers that do not answer one organization hold up nobody else.
    """

    kinds: Sequence[str]
    places: int
    held: Sequence[Job]
    shared: bool

    def free(self) -> Free:
        """What may be taken in one go, after which more may be free."""
        free = self.places - len(self.held)
        if not self.shared:
            return Free(free)
        share = max(1, self.places // 2)
        own = Counter(
            (job.organization_id, job.kind) for job in self.held if job.organization_id is not None
        )
        full = [whose for whose, count in own.items() if count >= share]
        most = max((count for count in own.values() if count < share), default=0)
        return Free(min(free, share - most), full)

    def with_jobs(self, taken: Sequence[Job]) -> Group:
        """The group when these are held, too."""
        return replace(self, held=[*self.held, *taken])
