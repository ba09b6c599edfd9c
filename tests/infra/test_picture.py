import xml.etree.ElementTree as ElementTree
from pathlib import Path

from infra import picture

ROOT = Path(__file__).parents[2]
BESIDE = {
    "__init__",
    "site",
    "account",
    "alarms",
    "alert_policies",
    "policy_document",
    "quicksight",
    "roles",
    "services",
    "views",
}
"""Modules that make no part of a picture: helpers, and the whole."""


def test_every_component_of_both_clouds_is_in_the_picture():
    shown = [module for box in picture.BOXES for module in box.modules]
    assert len(set(shown)) == len(shown)
    for cloud in ("aws", "gcp"):
        modules = {path.stem for path in (ROOT / "infra" / cloud).glob("*.py")} - BESIDE
        assert modules == set(shown), cloud


def test_boxes_lie_on_the_page_and_their_words_in_them():
    for box in picture.BOXES:
        assert box.left >= 0
        assert box.left + box.width <= picture.WIDTH
        assert box.top + box.height <= picture.HEIGHT
        assert box.top + 19 + 16 * len(box.lines) <= box.top + box.height
        assert all(len(line) * 6.3 <= box.width - 12 for line in box.lines), box.title


def test_the_picture_in_the_docs_is_the_one_that_is_made():
    made = picture.svg()
    ElementTree.fromstring(made)
    assert (ROOT / "docs/images/site.svg").read_text() == made
