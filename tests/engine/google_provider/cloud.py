"""What the imitated cloud does with resources: makes, changes and deletes them, or says why it does not."""

import copy
import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any

from google_provider import buckets
from google_provider.kind import Facts, Kind, Reference, values_at
from google_provider.kinds import KINDS
from google_provider.kinds.common import BUCKET, DATASET, GROUP_MANAGER, KEY, OBJECT, SERVICE, TABLE, TEMPLATES
from google_provider.wire import UNKNOWN
from google_provider.world import Data

HOST = re.compile(r"^(https?:)?//(www\.googleapis\.com/[a-z]+/v\d+(beta\d)?/|[a-z]+\.googleapis\.com/([a-z]+/)?v\d+/)?")
ENCRYPTS = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


class Refused(Exception):
    """The cloud does not do it, and says why."""


def now() -> str:
    """The time, as services write it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def relative(name: str) -> str:
    """A resource's link without the host."""
    return HOST.sub("", name)


def names(kind: Kind, id_: str, record: Mapping[str, Any], facts: Facts) -> set[str]:
    """All texts by which others may name a resource."""
    state = record["state"]
    known = {id_, state.get("selfLink"), state.get(kind.named), state.get("name")}
    known |= {facts.fill(each) for each in kind.known_as}
    return {relative(each) for each in known if isinstance(each, str) and each}


class Cloud:
    """One project, as one provider sees it while it has `World.changing`.

    Args:
        data: of the world.
        region: where resources are made that do not say.
        zone: likewise.
    """

    def __init__(self, data: Data, region: str = "", zone: str = "") -> None:
        self.data, self.region, self.zone = data, region, zone

    def facts(self, state: Mapping[str, Any], unique: int) -> Facts:
        """What outputs of a resource in this state are made of."""
        return Facts(state, self.data["project"], self.data["number"], self.region, self.zone, unique, now())

    def held(self, token: str) -> dict[str, Any]:
        """All resources of a kind, by id."""
        found: dict[str, Any] = self.data["resources"].setdefault(token, {})
        return found

    # ---- to make, change and delete ----------------------------------------------
    def create(self, kind: Kind, planned: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Make a resource; its id and state.

        Raises:
            Refused: it cannot be made.
        """
        self._own_project(planned)
        self.need(kind.service)
        self._find_references(kind, planned)
        self.data["count"] += 1
        unique = 4_000_000_000_000_000_000 + self.data["count"] * 7_919_000_000_017 % 10**15
        state = self._complete(kind, planned, unique)
        facts = self.facts(state, unique)
        id_ = facts.fill(kind.id)
        there, left = self.held(kind.token), self.data["remaining"].setdefault(kind.token, {})
        if id_ in there and not kind.idempotent:
            raise Refused(f"409: {kind.short} {id_} already exists")
        if id_ in left and not kind.restorable:
            raise Refused(f"409: {kind.short} {id_} was deleted, but {left[id_]['why']}: its name is taken")
        self._check_encryption(kind, state)
        state |= self._store(kind, state)
        left.pop(id_, None)
        there[id_] = {"state": state, "unique": unique}
        if kind.brings:
            self.bring(facts.fill(kind.brings))
        if kind.token == SERVICE and self.data["services"] is not None:
            self.data["services"] = sorted({*self.data["services"], state["service"]})
        return id_, state

    def update(self, kind: Kind, id_: str, planned: Mapping[str, Any]) -> dict[str, Any]:
        """Change a resource; its new state.

        Raises:
            Refused: it cannot be changed, or is not there.
        """
        record = self.held(kind.token).get(id_)
        if record is None:
            raise Refused(f"404: {kind.short} {id_} was not found")
        self._find_references(kind, planned)
        state = self._complete(kind, planned, record["unique"])
        self._check_encryption(kind, state)
        if kind.token == OBJECT:
            state |= self._store(kind, state)
        record["state"] = state
        return state

    def delete(self, kind: Kind, id_: str, state: Mapping[str, Any]) -> str:
        """Delete a resource; why it remains, if it does.

        Args:
            kind: of the resource.
            id_: of the resource.
            state: what Pulumi remembers of it: `deletionPolicy`, `forceDestroy` and their like count as they are there.

        Raises:
            Refused: something else needs it, or it must not be deleted.
        """
        record = self.held(kind.token).get(id_)
        if state.get("deletionPolicy") == "PREVENT":
            raise Refused(f"{kind.short} {id_}: deletionPolicy is PREVENT in the state")
        for name, value in kind.guards.items():
            if state.get(name) == value:
                raise Refused(f"{kind.short} {id_} cannot be deleted: {name} is {value} in the state")
        if record is None or state.get("deletionPolicy") == "ABANDON":
            return ""
        if users := sorted(self._holders(kind, id_, record, state)):
            raise Refused(f"400: {kind.short} {id_} is in use by {', '.join(users)}, resourceInUseByAnotherResource")
        if kind.token == BUCKET and (refusal := buckets.delete(id_, bool(state.get("forceDestroy")))):
            raise Refused(refusal)
        if kind.token == OBJECT:
            buckets.remove(record["state"]["bucket"], record["state"]["name"])
        del self.held(kind.token)[id_]
        if kind.token == DATASET:  # with all its tables: else it would have been refused
            tables = self.held(TABLE)
            for each in [each for each in tables if each.startswith(f"{id_}/")]:
                del tables[each]
        if kind.token == SERVICE and state.get("disableOnDestroy") and self.data["services"] is not None:
            self.data["services"].remove(state["service"])
        why = kind.remains(state) if callable(kind.remains) else kind.remains
        if why:
            self.data["remaining"].setdefault(kind.token, {})[id_] = {"why": why, "state": record["state"]}
        return why

    def read(self, kind: Kind, id_: str) -> dict[str, Any] | None:
        """The state of a resource; None if it is not there."""
        record = self.held(kind.token).get(id_)
        if record is None:
            return None
        state: dict[str, Any] = copy.deepcopy(record["state"])
        gone = kind.token == BUCKET and not buckets.exists(id_)
        if gone or (kind.token == OBJECT and not buckets.has(state["bucket"], state["name"])):
            del self.held(kind.token)[id_]
            return None
        return state

    def need(self, service: str) -> None:
        """Make sure that a service is switched on.

        Raises:
            Refused: it is not.
        """
        switched_on = self.data["services"]
        if service and switched_on is not None and service not in switched_on:
            raise Refused(f"403: {service} has not been used in project {self.data['project']}, or it is disabled")

    def bring(self, agent: str) -> None:
        """There is a service agent with this address from now on."""
        if agent not in self.data["agents"]:
            self.data["agents"].append(agent)

    def find(self, kinds: tuple[str, ...], name: str) -> tuple[Kind, str, dict[str, Any]] | None:
        """The resource of one of these kinds with this name, id or link."""
        for token in kinds:
            kind = KINDS[token]
            for id_, record in self.held(token).items():
                if relative(name) in names(kind, id_, record, self.facts(record["state"], record["unique"])):
                    return kind, id_, record
        return None

    # ---- what making and changing need -------------------------------------------
    def _own_project(self, state: Mapping[str, Any]) -> None:
        project = state.get("project")
        if project not in (None, UNKNOWN, self.data["project"], f"projects/{self.data['project']}"):
            raise Refused(f"403: there is no project {project}, or it is not yours")

    def _complete(self, kind: Kind, planned: Mapping[str, Any], unique: int) -> dict[str, Any]:
        """The state with everything that the service sets."""
        state = {name: value for name, value in planned.items() if value is not UNKNOWN and value is not None}
        for name, made in kind.computed.items():
            if name not in state:
                facts = self.facts(state, unique)
                value = made(facts) if callable(made) else facts.fill(made)
                state[name] = value
        return state

    def _store(self, kind: Kind, state: Mapping[str, Any]) -> dict[str, Any]:
        """Put buckets and objects where they are kept; the outputs that tell of it."""
        if kind.token == BUCKET:
            from google.api_core.exceptions import Conflict

            try:
                buckets.create(state["name"], state["location"], bool((state.get("versioning") or {}).get("enabled")))
            except Conflict as error:
                raise Refused(f"409: the bucket name {state['name']} is not available") from error
        if kind.token == OBJECT:
            from google.api_core.exceptions import NotFound

            try:
                return buckets.upload(state["bucket"], state["name"], state)
            except NotFound as error:
                raise Refused(f"404: there is no bucket {state['bucket']}") from error
        return {}

    def _find_references(self, kind: Kind, state: Mapping[str, Any]) -> None:
        """Refuse what names something that is not there."""
        for path, reference in kind.references.items():
            for at, name in values_at(state, path):
                if isinstance(name, str) and not self._is_there(reference, name):
                    what = " or ".join(KINDS[token].short for token in reference.kinds)
                    raise Refused(f"404: {at} of {kind.short} names {name}, and there is no such {what}")

    def _is_there(self, reference: Reference, name: str) -> bool:
        if re.fullmatch(reference.outsiders, name) or self.find(reference.kinds, name):
            return True
        return name.removeprefix("serviceAccount:") in self.data["agents"]

    def _check_encryption(self, kind: Kind, state: Mapping[str, Any]) -> None:
        """Refuse a key that is elsewhere, or that the service's agent may not use."""
        if kind.encryption is None:
            return
        agent = self.facts({}, 0).fill(kind.encryption.agent)
        places = [state]
        if kind.token == GROUP_MANAGER:
            if not state.get("targetSize"):
                return
            places = [record["state"] for record in self._templates(state)]
        for place in places:
            for at, name in values_at(place, kind.encryption.path):
                found = self.find((KEY,), name)
                if found is None:
                    raise Refused(f"404: {at} of {kind.short} names {name}, and there is no such key")
                _, key, record = found
                location, wanted = key.split("/")[3], state.get(kind.encryption.location)
                if kind.encryption.location and location.lower() != str(wanted).lower():
                    raise Refused(f"400: {at} of {kind.short} is in {location}, and must be in {wanted}")
                if not self._may_encrypt(key, record["state"]["keyRing"], agent):
                    raise Refused(f"403: {kind.short}: {agent} may not use the key {key}: it needs {ENCRYPTS} first")

    def _may_encrypt(self, key: str, ring: str, agent: str) -> bool:
        grants = [
            (token, target, where)
            for target, where in (("cryptoKeyId", key), ("keyRingId", ring))
            for token in KINDS
            if target in KINDS[token].own and "IAM" in token
        ]
        for token, target, where in grants:
            for record in self.held(token).values():
                state = record["state"]
                members = state.get("members") or [state.get("member")]
                if state["role"] == ENCRYPTS and state[target] == where and f"serviceAccount:{agent}" in members:
                    return True
        return False

    def _templates(self, group: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The templates of a group of machines."""
        for _, name in values_at(group, "versions.instanceTemplate"):
            if isinstance(name, str) and (found := self.find(TEMPLATES, name)):
                yield found[2]

    def _holders(self, kind: Kind, id_: str, record: Mapping[str, Any], state: Mapping[str, Any]) -> Iterator[str]:
        """What needs a resource, so that it cannot be deleted."""
        if state.get("forceDelete") or state.get("deleteContentsOnDestroy"):
            return
        mine = names(kind, id_, record, self.facts(record["state"], record["unique"]))

        def names_it(state: Mapping[str, Any], path: str) -> bool:
            return any(relative(str(name)) in mine for _, name in values_at(state, path))

        for token, other in KINDS.items():
            for path, reference in other.references.items():
                if reference.holds and kind.token in reference.kinds:
                    holders = self.held(token).items()
                    yield from (f"{other.short} {each}" for each, held in holders if names_it(held["state"], path))
        # A group's machines are in the networks that its template names.
        for holder, held in self.held(GROUP_MANAGER).items():
            for template in self._templates(held["state"]) if held["state"].get("targetSize") else ():
                for path in ("networkInterfaces.network", "networkInterfaces.subnetwork"):
                    if names_it(template["state"], path):
                        yield f"the machines of {holder}"
