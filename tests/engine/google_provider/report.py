"""What checks the properties of each kind: `python -m google_provider.report`, in Markdown."""

from collections.abc import Iterator

from google_provider import matching
from google_provider.kinds import KINDS


def lines() -> Iterator[str]:
    """A line for each kind, and one for each property of it that no field of an API checks."""
    yield "| Kind | Properties | Checked by | Without a field |"
    yield "|---|---|---|---|"
    for token, kind in sorted(KINDS.items()):
        found = matching.matches(kind)
        reasons = {match.path: match.why_none or "NOT MATCHED" for match in found if match.schema is None}
        shown = "; ".join(f"{path}: {why}" for path, why in reasons.items())
        yield f"| {token} | {len(found)} | {kind.described or 'types alone'} | {shown} |"


if __name__ == "__main__":
    print("\n".join(lines()))
