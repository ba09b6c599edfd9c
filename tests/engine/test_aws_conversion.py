"""Values between Pulumi's shape and Terraform's, and what Terraform's core would propose."""

from types import SimpleNamespace

import pytest
from aws_provider import configuration, conversion, names, shapes, wire
from aws_provider.conversion import Rejected
from aws_provider.shapes import Field, Shape
from aws_provider.values import UNKNOWN, decode, encode, has_unknown, without_unknown
from hypothesis import given, settings
from hypothesis import strategies as st

STRING, NUMBER, BOOL = (Shape("primitive", primitive=name) for name in ("string", "number", "bool"))
WORDS = st.text("abc", min_size=1, max_size=3)
PRIMITIVES = {STRING: WORDS, NUMBER: st.integers(-5, 5), BOOL: st.booleans()}


def an_object(*fields):
    return Shape("object", fields=fields)


@st.composite
def objects(draw, depth=2):
    """The shape of an object, as Terraform declares a block."""
    fields = []
    for name in draw(st.lists(WORDS, min_size=1, max_size=4, unique_by=lambda name: name)):
        block = depth > 0 and draw(st.booleans())
        if block:
            kind = draw(st.sampled_from(["list", "set", "map"]))
            shape = Shape(kind, element=draw(objects(depth=depth - 1)))
        else:
            shape = draw(st.sampled_from(list(PRIMITIVES)))
            shape = draw(st.sampled_from([shape, Shape("list", element=shape), Shape("map", element=shape)]))
        single = shape.is_sequence and draw(st.booleans())
        computed = not block and draw(st.booleans())
        # Plurals never end in a letter of the alphabet that names are drawn from.
        fields.append(Field(name, f"{name}X", shape, settable=True, computed=computed, block=block, single=single))
    return an_object(*fields)


def values(shape):
    """Values of a shape, as Pulumi has them."""
    if shape.kind == "primitive":
        return PRIMITIVES[shape]
    if shape.is_sequence:
        return st.lists(values(shape.element), min_size=1, max_size=2)
    if shape.kind == "map":
        return st.dictionaries(WORDS, values(shape.element), min_size=1, max_size=2)
    given = {f.property: values(f.shape.element if f.single else f.shape) for f in shape.fields}
    return st.fixed_dictionaries({}, optional=given)


SHAPED = objects().flatmap(lambda shape: st.tuples(st.just(shape), values(shape), values(shape)))


@settings(max_examples=50)
@given(SHAPED)
def test_a_value_comes_back_as_it_went(shaped):
    shape, value, _ = shaped
    there = conversion.to_terraform(shape, value)
    assert set(there) == {field.attribute for field in shape.fields}
    assert decode(encode(there)) == there
    back = conversion.to_pulumi(shape, there)
    assert without_empty(back) == without_empty(value)
    assert conversion.to_terraform(shape, back) == there


def without_empty(value):
    """The value without empty lists and objects: blocks that are left out come back as such."""
    if isinstance(value, dict):
        pruned = {key: without_empty(each) for key, each in value.items()}
        return {key: each for key, each in pruned.items() if each not in ([], {})}
    return [without_empty(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=50)
@given(SHAPED)
def test_what_is_proposed_is_the_configuration_and_what_was_computed(shaped):
    shape, value, other = shaped
    config, prior = conversion.to_terraform(shape, value), conversion.to_terraform(shape, other)
    proposed = conversion.proposed(shape, prior, config)
    for field in shape.fields:
        was, given, will = (each[field.attribute] for each in (prior, config, proposed))
        if not field.block:
            assert will == (was if given is None and field.computed else given)
        else:
            assert len(will) == len(given)
    assert conversion.proposed(shape, None, config) == config


@settings(max_examples=50)
@given(SHAPED)
def test_a_configuration_that_stays_changes_nothing(shaped):
    shape, value, _ = shaped
    config = conversion.to_terraform(shape, value)
    assert conversion.proposed(shape, config, config) == config


def test_elements_of_a_set_keep_what_was_computed_whatever_their_order():
    rule = an_object(
        Field("port", "port", NUMBER, settable=True, computed=False),
        Field("id", "id", STRING, settable=True, computed=True),
    )
    shape = an_object(Field("rule", "rules", Shape("set", element=rule), settable=True, computed=False, block=True))
    prior = {"rule": [{"port": 80, "id": "a"}, {"port": 443, "id": "b"}]}
    ports = (443, 8080, 80, 443)
    config = {"rule": [{"port": port, "id": None} for port in ports]}
    proposed = conversion.proposed(shape, prior, config)
    assert [(each["port"], each["id"]) for each in proposed["rule"]] == [
        (443, "b"),
        (8080, None),
        (80, "a"),
        (443, None),
    ]


@pytest.mark.parametrize(
    ("primitive", "given", "taken"),
    [
        (STRING, True, "true"),
        (STRING, 20.0, "20"),
        (STRING, {"Version": "1"}, '{"Version": "1"}'),
        (STRING, {"Resource": UNKNOWN}, UNKNOWN),
        (NUMBER, "20", 20),
        (NUMBER, 0.5, 0.5),
        (BOOL, "false", False),
        (BOOL, UNKNOWN, UNKNOWN),
    ],
)
def test_primitives_are_taken_as_pulumi_takes_them(primitive, given, taken):
    assert conversion.to_terraform(primitive, given) == taken


@pytest.mark.parametrize(("primitive", "given"), [(NUMBER, "many"), (NUMBER, True), (BOOL, "yes"), (BOOL, [])])
def test_other_primitives_are_refused(primitive, given):
    shape = an_object(Field("size", "size", primitive, settable=True, computed=False))
    with pytest.raises(Rejected, match="expected a") as refused:
        conversion.to_terraform(shape, {"size": given})
    assert refused.value.path == "size"


def test_what_is_unknown_is_null_after_all():
    value = {"id": UNKNOWN, "tags": [{"key": "a", "value": UNKNOWN}]}
    assert has_unknown(value)
    assert without_unknown(value) == {"id": None, "tags": [{"key": "a", "value": None}]}


def test_names_are_paired_letter_by_letter_and_plurals_only_then():
    attributes = ["rule", "rules", "subnet_id", "policy", "vpc_zone_identifier", "alarm_name"]
    properties = ["rules", "subnetId", "policies", "vpcZoneIdentifiers", "name"]
    assert names.pairs(attributes, properties, "aws_cloudwatch_metric_alarm") == {
        "rules": "rules",
        "subnet_id": "subnetId",
        "policy": "policies",
        "vpc_zone_identifier": "vpcZoneIdentifiers",
        "alarm_name": "name",
    }


@pytest.mark.parametrize(
    ("token", "name"),
    [
        ("aws:ec2/routeTable:RouteTable", "aws_route_table"),
        ("aws:autoscaling/group:Group", "aws_autoscaling_group"),
        ("aws:ec2/getAmi:getAmi", "aws_ami"),
        ("aws:s3/bucketObjectv2:BucketObjectv2", "aws_s3_object"),
    ],
)
def test_types_are_found_by_their_names(token, name):
    assert names.terraform_type(token, {"aws_route_table", "aws_autoscaling_group", "aws_ami", "aws_group"}) == name


def test_a_type_that_there_is_not_is_refused():
    with pytest.raises(names.NoSuchType, match="aws:ec2/carrot:Carrot"):
        names.terraform_type("aws:ec2/carrot:Carrot", {"aws_vpc"})


def attribute(name, encoded, **more):
    flags = {"required": False, "optional": True, "computed": False, "sensitive": False, **more}
    return SimpleNamespace(name=name, type=encoded, **flags)


def test_the_sdk_says_which_lists_are_single_objects():
    import pulumi_aws as aws

    inner = SimpleNamespace(attributes=[attribute("status", b'"string"')], block_types=[])
    nested = SimpleNamespace(type_name="versioning_configuration", block=inner, nesting=shapes.LIST, max_items=1)
    block = SimpleNamespace(attributes=[attribute("bucket", b'"string"')], block_types=[nested])
    properties = names.sdk_properties("aws:s3/bucketVersioning:BucketVersioning")
    shape = shapes.of_block(block, properties, "aws_s3_bucket_versioning")
    assert shape.by_property("versioningConfiguration").single
    assert {"mfa", "region"} <= set(shape.only_in_sdk)
    enabled = {"bucket": "b", "versioningConfiguration": {"status": "Enabled"}}
    there = conversion.to_terraform(shape, enabled)
    assert there == {"bucket": "b", "versioning_configuration": [{"status": "Enabled"}]}
    assert aws.s3.BucketVersioning.pulumi_type == "aws:s3/bucketVersioning:BucketVersioning"


def test_the_wire_knows_secrets_unknown_values_and_assets(tmp_path):
    text = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "text": "hello", "hash": "h"}
    sent = wire.write({"password": wire.secret("p"), "id": UNKNOWN, "list": [1, {"a": None}], "source": text})
    read = wire.Reader(tmp_path).read(sent)
    assert read == {"password": "p", "id": UNKNOWN, "list": [1, {"a": None}], "source": f"{tmp_path}/asset-h"}
    assert (tmp_path / "asset-h").read_text() == "hello"


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"a": 1, "b": {"x y": 1}}, {"a": 1, "b": {"x y": 2}}, ['tags.b["x y"]']),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["tags.a[1]"]),
        ({"a": [1]}, {"a": [1, 2]}, ["tags.a"]),
        ({"a": 1}, {"b": 1}, ["tags.a", "tags.b"]),
        ({"a": 1}, {"a": 1}, []),
    ],
)
def test_differences_are_told_by_the_paths_of_leaves(old, new, paths):
    assert list(wire.changed(old, new, "tags")) == paths


def test_nobodys_account_reaches_the_provider():
    given = {"region": "eu-west-1", "accessKey": "AKIA", "profile": "mine", "defaultTags": '{"tags":{"a":"b"}}'}
    configured = configuration.configuration(given)
    assert configured["region"] == "eu-west-1"
    assert configured["defaultTags"] == {"tags": {"a": "b"}}
    assert (configured["accessKey"], configured.get("profile")) == ("test", None)
