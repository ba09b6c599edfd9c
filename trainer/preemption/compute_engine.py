"""What Compute Engine says of a machine beforehand, by its metadata server.

https://cloud.google.com/compute/docs/metadata/querying-metadata. The machine's shutdown itself comes as SIGTERM.
"""

import os
import urllib.parse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from trainer.preemption.metadata import Service, Unanswered
from trainer.preemption.notice import Notice, Question, clock

VARIABLE = "GCE_METADATA_HOST"
HOST = "metadata.google.internal"
FLAVOR = ("Metadata-Flavor", "Google")
"""A header of each request and of each answer: it keeps strangers from asking, and from answering."""
SHUTDOWN = timedelta(seconds=30)
"""How long a preempted machine has (https://cloud.google.com/compute/docs/instances/preemptible)."""
PREEMPTED_WAIT_SECONDS, MAINTENANCE_WAIT_SECONDS = 5, 1
"""How long the server waits for news: of what hurries most of the time, and in between of what comes a minute ahead."""


class ComputeEngine:
    """Compute Engine's notices (`trainer.preemption.watch.Cloud`).

    Raises:
        ValueError: if the variable with the server's host holds none.
    """

    pause_seconds = 1.0

    def __init__(self) -> None:
        self._service = Service(f"http://{os.environ.get(VARIABLE) or HOST}", VARIABLE)
        self.service = f"Compute Engine's metadata server at {self._service.address}"
        self._etags: dict[str, str] = {}
        self.questions: Sequence[Question] = (self.preempted, self.maintenance)

    def close(self) -> None:
        """End a question that waits."""
        self._service.close()

    def preempted(self) -> Iterator[Notice]:
        """That the machine is taken away now.

        https://cloud.google.com/compute/docs/instances/create-use-preemptible#detecting_if_an_instance_was_preempted
        """
        if self._changed("preempted", PREEMPTED_WAIT_SECONDS) == "TRUE":
            deadline = datetime.now(UTC) + SHUTDOWN
            yield Notice(f"preempted by Compute Engine: this machine goes at {clock(deadline)}", deadline)

    def maintenance(self) -> Iterator[Notice]:
        """That the host needs maintenance: a minute ahead, with GPUs an hour.

        https://cloud.google.com/compute/docs/metadata/getting-live-migration-notice
        """
        event = self._changed("maintenance-event", MAINTENANCE_WAIT_SECONDS)
        said = f"host maintenance ({event}) said at {clock(datetime.now(UTC))}"
        if event == "TERMINATE_ON_HOST_MAINTENANCE":
            yield Notice(f"{said}: Compute Engine is to stop this machine")
        elif event == "MIGRATE_ON_HOST_MAINTENANCE":
            yield Notice(f"{said}: this machine moves to another host", stops=False)

    def _changed(self, key: str, wait_seconds: int) -> str | None:
        """A key's value as soon as it is another than the last one; None if it stays the same so long."""
        last = self._etags.get(key, "0")
        query = urllib.parse.urlencode({"wait_for_change": "true", "last_etag": last, "timeout_sec": wait_seconds})
        path = f"/computeMetadata/v1/instance/{key}?{query}"
        answer = self._service.ask("GET", path, dict([FLAVOR]), wait_seconds)
        if answer.headers.get(FLAVOR[0]) != FLAVOR[1]:
            raise Unanswered("it does not say that it is Google's")
        if answer.status != 200:
            raise Unanswered(f"HTTP status {answer.status} for {key}")
        self._etags[key] = answer.headers.get("ETag", "0")
        return None if self._etags[key] == last != "0" else answer.text.strip()
