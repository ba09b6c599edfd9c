"""All that there is in the imitated cloud: one JSON file, which provider processes and tests share.

So what a test deletes or changes here happened behind Pulumi's back.
"""

import contextlib
import copy
import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

VARIABLE = "RECORDED_WORLD"
"""The environment variable that names the file to provider processes."""

Data = dict[str, Any]


class World:
    """One project of the imitated cloud.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(
        cls,
        path: Path,
        project: str = "slipway-test",
        number: str = "123456789012",
        services: Collection[str] | None = None,
    ) -> "World":
        """An empty project, in a new file.

        Args:
            path: of the file.
            project: its id.
            number: its number.
            services: which services are switched on; None: all there are.
        """
        agents = [
            f"service-{number}@compute-system.iam.gserviceaccount.com",
            f"{number}-compute@developer.gserviceaccount.com",
            f"{number}@cloudservices.gserviceaccount.com",
        ]
        world = {
            "project": project,
            "number": number,
            "count": 0,
            "agents": agents,
            "services": None if services is None else sorted(services),
            "resources": {},
            "remaining": {},
        }
        path.write_text(json.dumps(world))
        return cls(path)

    @classmethod
    def of_environment(cls) -> "World":
        """The one that the environment names; an empty one if there is none yet.

        Raises:
            KeyError: it names none.
        """
        path = Path(os.environ[VARIABLE])
        if not path.exists():
            part = path.with_name(f"{path.name}.{os.getpid()}")
            cls.create(part)
            with contextlib.suppress(FileExistsError):  # another process was faster
                path.hardlink_to(part)
            part.unlink()
        return cls(path)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Data]:
        """What there is, for this process alone; what is changed is kept, unless an exception leaves the block."""
        with self.path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            data = json.load(file)
            before = copy.deepcopy(data)
            yield data
            if data != before:
                file.seek(0)
                file.truncate()
                json.dump(data, file)

    def read(self) -> Data:
        """What there is now."""
        with self.path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            found: Data = json.load(file)
            return found

    def ids(self, token: str) -> list[str]:
        """The ids of all resources of a kind."""
        return sorted(self.read()["resources"].get(token, {}))

    def state(self, token: str, id_: str) -> Mapping[str, Any]:
        """The properties of a resource.

        Raises:
            KeyError: there is none.
        """
        found: Mapping[str, Any] = self.read()["resources"][token][id_]["state"]
        return found

    @property
    def tokens(self) -> set[str]:
        """The kinds of which there are resources."""
        return {token for token, held in self.read()["resources"].items() if held}

    @property
    def remaining(self) -> Mapping[str, Mapping[str, str]]:
        """What was deleted and stays: kind -> id -> why."""
        found = self.read()["remaining"]
        return {token: {id_: each["why"] for id_, each in held.items()} for token, held in found.items() if held}

    def delete(self, token: str, id_: str) -> None:
        """Delete a resource, as somebody in the console would.

        Raises:
            KeyError: there is none.
        """
        with self.changing() as data:
            del data["resources"][token][id_]

    def change(self, token: str, id_: str, /, **properties: Any) -> None:
        """Change properties of a resource, as somebody in the console would.

        Raises:
            KeyError: there is none.
        """
        with self.changing() as data:
            data["resources"][token][id_]["state"].update(properties)
