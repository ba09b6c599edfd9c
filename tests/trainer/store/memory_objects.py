"""Objects in memory, for tests that make a store fail, answer late or lose its answers, and processes die at any call.

Real backends are tested by themselves; this one is for the faults that they cannot be told to have.
"""

import dataclasses
import hashlib
import threading

from trainer.store.objects.base import Corrupt, Described, Exists, Missing, Objects


class Killed(BaseException):
    """The process is dead: nothing of it comes after this."""


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of one client, numbered from 0. `done` tells the moment after its effect from the one before."""

    number: int
    name: str
    key: str
    done: bool


class MemoryObjects(Objects):
    """Objects in a dictionary, which several clients share.

    Args:
        data: what is there.
        meddle: called before and after the effect of each call (a removal of several objects counts as several): it may
            wait, do something else meanwhile, or raise what the caller gets.
    """

    def __init__(self, data=None, meddle=lambda call: None):
        self.uri = "memory://runs"
        self.data = {} if data is None else data
        self.meddle = meddle
        self.calls = []
        self._lock = threading.Lock()

    def client(self, meddle=lambda call: None):
        """Another machine's view of the same objects."""
        return MemoryObjects(self.data, meddle)

    def _call(self, name, key, effect):
        with self._lock:
            call = Call(len(self.calls), name, key, False)
            self.calls.append(call)
        self.meddle(call)
        result = effect()
        self.meddle(dataclasses.replace(call, done=True))
        return result

    def check(self, *, write):
        self._call("check", "", lambda: None)

    def keys(self, prefix="", *, after=""):
        def effect():
            found = sorted((key, len(data)) for key, data in list(self.data.items()))
            return [Described(key, size) for key, size in found if key.startswith(prefix) and key > after]

        return iter(self._call("keys", prefix, effect))

    def names(self, prefix=""):
        def effect():
            rest = [key.removeprefix(prefix) for key in list(self.data) if key.startswith(prefix)]
            return sorted({key.split("/")[0] for key in rest if "/" in key})

        return self._call("names", prefix, effect)

    def read(self, key):
        def effect():
            try:
                return self.data[key]
            except KeyError:
                raise Missing(f"{self.uri}/{key} is not there") from None

        return self._call("read", key, effect)

    def create(self, key, data):
        def effect():
            if self.data.setdefault(key, data) is not data:
                raise Exists(f"{self.uri}/{key} is there")

        self._call("create", key, effect)

    def replace(self, key, data):
        self._call("replace", key, lambda: self.data.__setitem__(key, data))

    def upload(self, key, path, sha256, sent=None):
        def effect():
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != sha256:
                raise Corrupt(f"{path} has other bytes")
            self.data[key] = data
            if sent is not None:
                sent(len(data))

        self._call("upload", key, effect)

    def download(self, key, path, sha256, received=None):
        def effect():
            try:
                data = self.data[key]
            except KeyError:
                raise Missing(f"{self.uri}/{key} is not there") from None
            if hashlib.sha256(data).hexdigest() != sha256:
                raise Corrupt(f"{self.uri}/{key} has other bytes")
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{path.name}-download")
            aside.write_bytes(data)
            aside.replace(path)
            if received is not None:
                received(len(data))

        self._call("download", key, effect)

    def delete(self, keys):
        for key in list(keys):
            self._call("delete", key, lambda key=key: self.data.pop(key, None))
