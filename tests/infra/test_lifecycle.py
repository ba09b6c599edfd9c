import dataclasses

from infra import lifecycle
from infra.lifecycle import RULES, Lifecycle

LOG_DAYS = {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
"""What CloudWatch Logs takes (PutRetentionPolicy)."""


def test_every_lifecycle_decides_everything():
    assert RULES.keys() == set(Lifecycle)
    assert lifecycle.MEANINGS.keys() == {field.name for field in dataclasses.fields(lifecycle.Rules)}


def test_what_is_kept_is_protected_and_what_is_cleaned_up_is_not():
    keep, cleanup, dev = RULES[Lifecycle.KEEP], RULES[Lifecycle.CLEANUP], RULES[Lifecycle.DEV]
    assert keep.protect
    assert keep.deletion_protection
    assert not keep.force_destroy
    assert cleanup.force_destroy
    assert (cleanup.protect, cleanup.deletion_protection, cleanup.deleted_object_days) == (False, False, 0)
    assert (dev.protect, dev.deletion_protection, dev.force_destroy) == (False, False, False)


def test_days_are_such_as_the_clouds_take():
    for rules in RULES.values():
        assert 7 <= rules.key_deletion_days <= 30
        assert rules.log_retention_days in LOG_DAYS
        assert rules.deleted_object_days == 0 or 7 <= rules.deleted_object_days <= 90


def test_nothing_is_kept_shorter_than_in_dev_where_it_is_to_be_kept():
    dev, keep = RULES[Lifecycle.DEV], RULES[Lifecycle.KEEP]
    for name in ("key_deletion_days", "log_retention_days", "deleted_object_days"):
        assert getattr(keep, name) >= getattr(dev, name)


def test_the_table_for_the_docs_has_a_row_for_each_rule():
    lines = lifecycle.table().splitlines()
    assert lines[0] == "| | `dev` | `keep` | `cleanup` |"
    assert len(lines) == 2 + len(dataclasses.fields(lifecycle.Rules))
    assert "| Pulumi refuses to delete bucket and keys | no | yes | no |" in lines
