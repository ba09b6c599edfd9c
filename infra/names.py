"""Names of resources, within the clouds' limits."""

import hashlib

DIGEST = 8
"""Hexadecimal digits that stand for what was left out."""


def shortened(name: str, length: int) -> str:
    """A name that is short enough: a long one's beginning, and some digits that tell it from others of that beginning.

    Args:
        name: such as a run's id, which may have 100 characters.
        length: how many are allowed; more than the digits and a dash take.
    """
    if len(name) <= length:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:DIGEST]
    return f"{name[: length - DIGEST - 1].rstrip('-._')}-{digest}"
