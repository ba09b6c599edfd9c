"""What EC2 says of a machine beforehand, by its instance metadata service, version 2.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from trainer.preemption.metadata import Answer, Service, Unanswered
from trainer.preemption.notice import Notice, Question, clock

VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
ADDRESS = "http://169.254.169.254"
TOKEN_SECONDS = 21_600
"""How long a token is asked to last: the most there is."""
MARGIN = timedelta(minutes=3)
"""So long before scheduled maintenance a run ends; a spot machine's notice is 2 minutes."""
GOING = frozenset({"Terminated", "Warmed:Terminated", "Warmed:Stopped", "Warmed:Hibernated"})
"""The states of an autoscaling group's machine in which it does not run."""


class EC2:
    """EC2's notices (`trainer.preemption.watch.Cloud`).

    Args:
        on_rebalance: `stop` if a recommendation to leave the machine ends the run.
        token_seconds: how long a token lasts.

    Raises:
        ValueError: if the variable with the service's address holds none.
    """

    pause_seconds = 5.0

    def __init__(self, on_rebalance: str, token_seconds: int = TOKEN_SECONDS) -> None:
        self._service = Service(os.environ.get(VARIABLE) or ADDRESS, VARIABLE)
        self.service = f"EC2's metadata service at {self._service.address}"
        self._on_rebalance, self._token_seconds = on_rebalance, token_seconds
        self._token, self._renew_at, self._recommended = "", 0.0, False
        self.questions: Sequence[Question] = (self.rebalance, self.spot, self.maintenance, self.autoscaling)

    def close(self) -> None:
        """End a question that waits."""
        self._service.close()

    def spot(self) -> Iterator[Notice]:
        """The interruption of a spot machine, two minutes ahead; of one that hibernates, as it begins.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
        """
        if (text := self._item("spot/instance-action")) is not None:
            said = json.loads(text)
            deadline = _time(said["time"])
            yield Notice(f"spot notice ({said['action']}): this machine goes at {clock(deadline)}", deadline)

    def rebalance(self) -> Iterator[Notice]:
        """That a spot machine is likelier than others to be interrupted.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
        """
        text, known = self._item("events/recommendations/rebalance"), self._recommended
        self._recommended = text is not None
        if text is not None and not known:  # one recommendation is worth one checkpoint, however often it is made
            at = clock(_time(json.loads(text)["noticeTime"]))
            reason = f"rebalance recommendation at {at}: this machine may soon be interrupted"
            yield Notice(reason, stops=self._on_rebalance == "stop")

    def maintenance(self) -> Iterator[Notice]:
        """Scheduled events that are still to come, or are going on.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_scheduled_events.html
        """
        text, now = self._item("events/maintenance/scheduled"), datetime.now(UTC)
        for event in json.loads(text) if text is not None else ():
            over = "NotAfter" in event and parsedate_to_datetime(event["NotAfter"]) < now
            if event["State"] != "active" or over:
                continue
            begins = parsedate_to_datetime(event["NotBefore"])
            reason = f"scheduled maintenance ({event['Code']}): this machine goes at {clock(begins)}"
            yield Notice(reason, begins, stops=begins - now < MARGIN)

    def autoscaling(self) -> Iterator[Notice]:
        """That an autoscaling group takes the machine away.

        https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
        """
        state = (self._item("autoscaling/target-lifecycle-state") or "").strip()
        if state in GOING:
            yield Notice(f"autoscaling ({state}): this machine's group takes it away")

    def _item(self, path: str) -> str | None:
        """An item of the metadata; None if there is none."""
        answer = self._get(path)
        if answer.status == 401:  # the token counts no more, though it should have lasted
            self._renew_at = 0.0
            answer = self._get(path)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise Unanswered(f"HTTP status {answer.status} for {path}")
        return answer.text

    def _get(self, path: str) -> Answer:
        if time.monotonic() >= self._renew_at:
            self._renew()
        return self._service.ask("GET", f"/latest/meta-data/{path}", {"X-aws-ec2-metadata-token": self._token})

    def _renew(self) -> None:
        wish = {"X-aws-ec2-metadata-token-ttl-seconds": str(self._token_seconds)}
        began = time.monotonic()
        answer = self._service.ask("PUT", "/latest/api/token", wish)
        if answer.status != 200:
            raise Unanswered(f"HTTP status {answer.status} for a token")
        self._token, self._renew_at = answer.text, began + 0.9 * self._token_seconds


def _time(text: str) -> datetime:
    """A time of ISO 8601; one without a zone is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
