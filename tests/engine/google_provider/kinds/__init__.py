"""All kinds of resources that the provider knows, by token."""

from collections.abc import Mapping

from google_provider.kind import Kind
from google_provider.kinds import analytics, compute, identity, keys, messages, names, observability, projects, storage

KINDS: Mapping[str, Kind] = {
    kind.token: kind
    for module in (analytics, compute, identity, keys, messages, names, observability, projects, storage)
    for kind in module.KINDS
}
