"""A site's machines, by the clouds' own APIs: who is there, how many there should be, what they said.

Groups are named by the stack's output `groups`: by run id, an Auto Scaling group's name, or a managed instance group's.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from infra import settings
from trainer.errors import SlipwayError


@dataclasses.dataclass(frozen=True)
class Node:
    """A machine.

    Attributes:
        run_id: what it trains.
        id: EC2's instance id, or Compute Engine's name.
        zone: where it is.
        machine: its type.
        state: the group's word for how it is.
    """

    run_id: str
    id: str
    zone: str
    machine: str
    state: str


@dataclasses.dataclass(frozen=True)
class Group:
    """A run's group of machines.

    Attributes:
        run_id: what it trains.
        name: the cloud's.
        wanted: how many machines it should have.
        nodes: those that it has.
    """

    run_id: str
    name: str
    wanted: int
    nodes: tuple[Node, ...]


@dataclasses.dataclass(frozen=True)
class Said:
    """A line of a site's logs: `text` is JSON where a trainer wrote it."""

    time: dt.datetime
    stream: str
    text: str
    id: str


class Fleet(Protocol):
    """A site's machines."""

    def groups(self) -> list[Group]:
        """All groups, with the machines that they have now.

        Raises:
            SlipwayError: if the cloud does not say.
        """
        ...

    def scale(self, group: Group, size: int) -> None:
        """Set how many machines a group should have, 0 or 1.

        Raises:
            SlipwayError: if the cloud refuses.
        """
        ...

    def shell(self, node: Node) -> list[str]:
        """The command line that opens a shell on a machine, without a port that is open to anybody."""
        ...

    def lines(self, since: dt.datetime) -> Iterator[Said]:
        """What machines have said since then, in the service's order.

        Raises:
            SlipwayError: if the cloud does not say.
        """
        ...


def fleet(outputs: Mapping[str, Any]) -> Fleet:
    """The machines of a site.

    Args:
        outputs: the stack's.
    """
    if outputs["cloud"] == settings.AWS:
        return _Aws(outputs)
    return _Google(outputs)


class _Aws:
    """EC2, by boto3's own chain of credentials."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        import boto3

        self._runs = {name: run_id for run_id, name in outputs["groups"].items()}
        self._region, self._log_group = outputs["region"], outputs["logGroup"]
        session = boto3.Session(region_name=self._region)
        self._scaling, self._logs = session.client("autoscaling"), session.client("logs")

    def groups(self) -> list[Group]:
        """`DescribeAutoScalingGroups` (`Fleet.groups`)."""
        found = []
        with _told("AWS"):
            names = list(self._runs)
            for start in range(0, len(names), 50):
                pages = self._scaling.get_paginator("describe_auto_scaling_groups")
                for page in pages.paginate(AutoScalingGroupNames=names[start : start + 50]):
                    found += [self._group(each) for each in page["AutoScalingGroups"]]
        return sorted(found, key=lambda group: group.run_id)

    def scale(self, group: Group, size: int) -> None:
        """`SetDesiredCapacity` (`Fleet.scale`)."""
        with _told("AWS"):
            self._scaling.set_desired_capacity(
                AutoScalingGroupName=group.name, DesiredCapacity=size, HonorCooldown=False
            )

    def shell(self, node: Node) -> list[str]:
        """Session Manager's (`Fleet.shell`)."""
        return ["aws", "ssm", "start-session", "--region", self._region, "--target", node.id]

    def lines(self, since: dt.datetime) -> Iterator[Said]:
        """`FilterLogEvents` (`Fleet.lines`)."""
        with _told("AWS"):
            pages = self._logs.get_paginator("filter_log_events")
            start = int(since.timestamp() * 1000)
            for page in pages.paginate(logGroupName=self._log_group, startTime=start):
                for event in page["events"]:
                    time = dt.datetime.fromtimestamp(event["timestamp"] / 1000, dt.UTC)
                    yield Said(time, event["logStreamName"], event["message"], event["eventId"])

    def _group(self, said: Mapping[str, Any]) -> Group:
        run_id = self._runs[said["AutoScalingGroupName"]]
        nodes = tuple(
            Node(run_id, each["InstanceId"], each["AvailabilityZone"], each["InstanceType"], each["LifecycleState"])
            for each in said["Instances"]
        )
        return Group(run_id, said["AutoScalingGroupName"], said["DesiredCapacity"], nodes)


class _Google:
    """Compute Engine and Cloud Logging over REST, by Application Default Credentials.

    Endpoints follow gcloud's variables, such as `CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE`.
    """

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self._runs: Mapping[str, str] = outputs["groups"]
        self._project, self._region, self._log = outputs["project"], outputs["region"], outputs["logName"]

    def groups(self) -> list[Group]:
        """`regionInstanceGroupManagers.get` and `listManagedInstances` (`Fleet.groups`)."""
        found = []
        for run_id, name in sorted(self._runs.items()):
            said = self._compute("GET", name)
            machines = self._compute("POST", f"{name}/listManagedInstances").get("managedInstances", [])
            nodes = tuple(self._node(run_id, each) for each in machines)
            found.append(Group(run_id, name, int(said["targetSize"]), nodes))
        return found

    def scale(self, group: Group, size: int) -> None:
        """`regionInstanceGroupManagers.resize` (`Fleet.scale`)."""
        self._compute("POST", f"{group.name}/resize?size={size}")

    def shell(self, node: Node) -> list[str]:
        """gcloud's, through Identity-Aware Proxy (`Fleet.shell`)."""
        options = ["--project", self._project, "--zone", node.zone, "--tunnel-through-iap"]
        return ["gcloud", "compute", "ssh", node.id, *options]

    def lines(self, since: dt.datetime) -> Iterator[Said]:
        """`entries.list` (`Fleet.lines`)."""
        import json

        name = f"projects/{self._project}/logs/{self._log}"
        body: dict[str, Any] = {
            "resourceNames": [f"projects/{self._project}"],
            "filter": f'logName="{name}" AND timestamp>="{since.astimezone(dt.UTC).isoformat()}"',
            "orderBy": "timestamp asc",
            "pageSize": 1000,
        }
        while True:
            page = _google("POST", "logging", "v2/entries:list", body)
            for entry in page.get("entries", []):
                time = dt.datetime.fromisoformat(entry["timestamp"].replace("Z", "+00:00"))
                payload = {"time": entry["timestamp"], "severity": entry.get("severity", "INFO")}
                text = entry.get("textPayload") or json.dumps({**payload, **entry.get("jsonPayload", {})})
                yield Said(time, entry.get("labels", {}).get("run_id", ""), text, entry["insertId"])
            if not page.get("nextPageToken"):
                return
            body["pageToken"] = page["nextPageToken"]

    def _compute(self, method: str, path: str) -> Mapping[str, Any]:
        base = f"projects/{self._project}/regions/{self._region}/instanceGroupManagers"
        return _google(method, "compute", f"compute/v1/{base}/{path}")

    @staticmethod
    def _node(run_id: str, said: Mapping[str, Any]) -> Node:
        *_, zone, _, name = said["instance"].split("/")
        machine = said.get("propertiesFromFlexibilityPolicy", {}).get("machineType", "")
        state = said.get("instanceStatus") or said.get("currentAction", "")
        return Node(run_id, name, zone, machine, state)


def _google(method: str, service: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """A call of one of Google's REST services."""
    import os

    import google.auth
    import requests
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    from trainer.clouds import endpoints

    variable = f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service.upper()}"
    base = os.environ.get(variable, f"https://{service}.googleapis.com/")
    endpoints.check_encrypted(variable, base)
    try:
        if base.startswith("http:"):  # this machine's: no credentials leave it
            session = requests.Session()
        else:
            credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
            session = AuthorizedSession(credentials)
        with session:
            answer = session.request(method, f"{base.rstrip('/')}/{path}", json=body, timeout=30)
            answer.raise_for_status()
            found: Mapping[str, Any] = answer.json()
            return found
    except (GoogleAuthError, requests.RequestException) as error:
        raise SlipwayError(f"Google Cloud does not answer: {' '.join(str(error).split())}") from error


class _told:  # noqa: N801 (reads as a word of `with`)
    """Turns boto3's errors into ours."""

    def __init__(self, cloud: str) -> None:
        self._cloud = cloud

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        if isinstance(error, BotoCoreError | ClientError):
            raise SlipwayError(f"{self._cloud} does not answer: {' '.join(str(error).split())}") from error


def running(groups: Sequence[Group]) -> int:
    """How many machines there are."""
    return sum(len(group.nodes) for group in groups)
