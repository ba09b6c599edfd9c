"""The evaluator of policies against what AWS's documents say of its language."""

import iam
import pytest
from iam import Request


def statement(effect="Allow", **more):
    return {"Sid": "It", "Effect": effect, "Action": "s3:Get*", "Resource": "arn:aws:s3:::bucket/runs/*", **more}


GET = Request("s3:GetObject", "arn:aws:s3:::bucket/runs/a/b")


def test_nothing_is_allowed_that_nobody_allows():
    assert not iam.allows([], GET)
    assert iam.allowing([statement()], GET) == ["It"]
    assert iam.allows([statement()], Request("S3:getobject", GET.resource))  # actions know no case
    assert not iam.allows([statement()], Request("s3:PutObject", GET.resource))
    assert not iam.allows([statement()], Request("s3:GetObject", "arn:aws:s3:::bucket/RUNS/a"))


def test_who_denies_wins():
    denied = [statement(), statement("Deny", Action="*", Resource="*")]
    assert not iam.allows(denied, GET)
    assert iam.denies(denied, GET)


def test_a_policy_of_a_resource_asks_who_asks():
    for principal, asks, expected in (
        ({"AWS": "*"}, "arn:aws:iam::1:role/a", True),
        ({"AWS": ["arn:aws:iam::1:role/a"]}, "arn:aws:iam::1:role/a", True),
        ({"Service": "logs.us-east-1.amazonaws.com"}, "sns.amazonaws.com", False),
    ):
        request = Request(GET.action, GET.resource, principal=asks)
        assert iam.allows([statement(Principal=principal)], request) is expected
    with pytest.raises(AssertionError, match="who asks"):
        iam.allows([statement(Principal={"AWS": "*"})], GET)


ARN = "arn:aws:logs:us-east-1:1:log-group:/slipway/dev/nodes"


# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
@pytest.mark.parametrize(
    ("operator", "wanted", "found", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("StringNotEquals", "a", "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", "a", None, True),
        ("StringNotEqualsIfExists", "a", None, True),
        ("StringLike", "runs/*", "runs/", True),
        ("StringLike", "runs/*", "bundles/", False),
        ("StringLike", "a[b]", "a[b]", True),
        ("ArnLike", "arn:aws:logs:us-east-1:1:log-group:/slipway/dev/*", ARN, True),
        ("ArnLike", "arn:aws:logs:*:log-group:/slipway/dev/*", ARN, False),
        ("ArnNotEquals", ARN, ARN, False),
        ("Bool", "false", "false", True),
        ("Bool", "false", "true", False),
        ("Bool", "false", None, False),
        ("Null", "false", "x", True),
        ("Null", "false", None, False),
        ("Null", "true", None, True),
        ("NumericLessThan", "1.2", "1.1", True),
        ("NumericLessThan", "1.2", "1.2", False),
        ("NumericLessThan", "1.2", None, False),
    ],
)
def test_conditions(operator, wanted, found, expected):
    request = Request(GET.action, GET.resource, {} if found is None else {"key": found})
    assert iam.allows([statement(Condition={operator: {"key": wanted}})], request) is expected


def test_all_conditions_must_hold():
    both = statement(Condition={"StringEquals": {"a": "1", "b": "2"}})
    assert iam.allows([both], Request(GET.action, GET.resource, {"a": "1", "b": "2"}))
    assert not iam.allows([both], Request(GET.action, GET.resource, {"a": "1"}))


@pytest.mark.parametrize(
    "more", [{"NotAction": "s3:*"}, {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, {"Resource": "${x}"}]
)
def test_what_is_not_known_is_not_passed_over(more):
    with pytest.raises((AssertionError, KeyError)):
        iam.allows([statement(**more)], Request(GET.action, GET.resource, {"aws:SourceIp": "10.0.0.1"}))
