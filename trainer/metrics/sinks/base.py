"""What a sink is."""

from collections.abc import Mapping
from typing import Protocol


class Sink(Protocol):
    """Takes one row of metrics after each training iteration."""

    def write(self, row: Mapping[str, float], step: int, wall_time_seconds: float) -> None:
        """Take a row.

        Args:
            row: sample keys (`trainer.metrics.catalogue`) to numbers; may hold `iteration`.
            step: environment steps since the start of the run.
            wall_time_seconds: training time since the start of the run, over all resumes.

        Raises:
            UnknownMetricError: if the row has a key that the catalogue has not.
        """
        ...

    def flush(self) -> object:
        """Bring what was taken to its destination."""
        ...

    def close(self) -> None:
        """Flush and let go of files and ports. The sink takes no more rows."""
        ...
