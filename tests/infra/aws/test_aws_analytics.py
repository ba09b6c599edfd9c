"""Tables, workgroup and QuickSight, as a program asks for them.

No Athena answers here. That runs write what the columns say is checked in `tests/trainer/store/test_tables.py`, and
questions are asked of SQLite in `test_queries`. The dashboard's definition is checked against QuickSight's own API
description, which botocore has.
"""

import json

import aws_site
import botocore.session
import botocore.validate
import pytest
from aws_site import seen
from recording import UNKNOWN

from infra.aws import analytics, quicksight
from infra.aws.storage import QUERIES as RESULTS
from infra.queries import QUERIES
from trainer.errors import BadInputs
from trainer.store.tables import TABLES, Type

ON = {"analytics": "true", "machines": "c7i.large"}
USER = "arn:aws:quicksight:us-east-1:123456789012:user/default/me"
ATHENA = {Type.STRING: "string", Type.INTEGER: "bigint", Type.NUMBER: "double"}


def site(preview=False, **more):
    return seen(preview=preview, **ON, **more)


@pytest.mark.parametrize("preview", [False, True])
def test_off_by_default(preview):
    made = seen(preview=preview, machines="c7i.large")
    assert not {each.type.split(":")[1] for each in made.resources} & {
        "glue/catalogTable", "athena/workgroup", "quicksight/dataSet", "Analytics", "QuickSight",
    }  # fmt: skip


@pytest.mark.parametrize("preview", [False, True])
def test_a_table_of_glue_for_each_table_of_a_store(preview):
    made = {each.inputs["name"]: each.inputs for each in site(preview).all("CatalogTable")}
    assert set(made) == {table.name for table in TABLES}
    for table in TABLES:
        given = made[table.name]
        assert given["tableType"] == "EXTERNAL_TABLE"
        storage = given["storageDescriptor"]
        assert [(each["name"], each["type"]) for each in storage["columns"]] == [
            (each.name, ATHENA[each.type]) for each in table.columns
        ]
        assert storage["serDeInfo"]["serializationLibrary"] == "org.openx.data.jsonserde.JsonSerDe"
        assert all(len(each["comment"]) <= 255 for each in storage["columns"])
        if preview:
            assert storage["location"] is UNKNOWN
        else:
            store = site().outputs["store"]
            assert storage["location"] == f"{store}/tables/{table.name}/"


def test_the_database_has_a_name_that_needs_no_quotes_and_is_one_of_a_kind():
    made = site(stack="my-site").one("CatalogDatabase").inputs
    bucket = site(stack="my-site").outputs["bucket"]
    assert made["name"] == f"slipway_my_site_{bucket.rpartition('-')[2]}"


@pytest.mark.parametrize("preview", [False, True])
def test_results_are_encrypted_in_the_sites_bucket_whatever_the_asker_wants(preview):
    given = site(preview).one("Workgroup").inputs["configuration"]
    assert given["enforceWorkgroupConfiguration"] is True
    assert given["publishCloudwatchMetricsEnabled"] is True
    assert given["bytesScannedCutoffPerQuery"] >= 10_000_000  # Athena takes no less
    result = given["resultConfiguration"]
    assert result["encryptionConfiguration"]["encryptionOption"] == "SSE_KMS"
    assert result["expectedBucketOwner"] == aws_site.ACCOUNT
    if not preview:
        assert result["encryptionConfiguration"]["kmsKeyArn"].startswith("arn:aws:kms:")
        assert result["outputLocation"] == f"s3://{site().outputs['bucket']}/{RESULTS}"
        rules = site().one("BucketLifecycleConfiguration", "runs").inputs["rules"]
        (rule,) = (each for each in rules if each.get("filter", {}).get("prefix") == RESULTS)
        assert rule["expiration"]["days"] > 0


@pytest.mark.parametrize("preview", [False, True])
def test_questions_are_in_the_workgroup(preview):
    made = site(preview).all("NamedQuery")
    assert {each.inputs["name"]: each.inputs["query"] for each in made} == {each.name: each.sql for each in QUERIES}
    assert all(len(each.inputs["description"]) <= 1024 for each in made)


def test_outputs_name_both():
    outputs = site().outputs
    assert outputs["database"] == site().one("CatalogDatabase").inputs["name"]
    assert outputs["workgroup"] == site().one("Workgroup").name


@pytest.mark.parametrize("preview", [False, True])
def test_quicksight_only_for_a_user(preview):
    assert not [each for each in site(preview).resources if "uicksight" in each.type.lower()]
    made = site(preview, quicksightUser=USER)
    source = made.one("DataSource").inputs
    assert (source["type"], source["permissions"][0]["principal"]) == ("ATHENA", USER)
    sets = made.all("DataSet")
    assert {each.inputs["physicalTableMaps"][0]["relationalTable"]["name"] for each in sets} == {"runs", "metrics"}
    for each in sets:
        assert each.inputs["importMode"] == "DIRECT_QUERY"
        (table,) = (
            table for table in TABLES if each.inputs["physicalTableMaps"][0]["relationalTable"]["name"] == table.name
        )
        columns = each.inputs["physicalTableMaps"][0]["relationalTable"]["inputColumns"]
        assert [column["name"] for column in columns] == [column.name for column in table.columns]
        assert {column["type"] for column in columns} <= {"STRING", "INTEGER", "DECIMAL"}
    dashboard = made.one("Resource").inputs
    assert dashboard["typeName"] == "AWS::QuickSight::Dashboard"
    assert preview == (dashboard["desiredState"] is UNKNOWN)


def test_the_dashboards_definition_is_one_that_quicksight_knows():
    state = json.loads(site(quicksightUser=USER).one("Resource").inputs["desiredState"])
    assert state["Permissions"][0]["Principal"] == USER
    assert {each["Key"]: each["Value"] for each in state["Tags"]} == dict(aws_site.planned(machines="c7i.large").tags)
    service = botocore.session.get_session().get_service_model("quicksight")
    shape = service.operation_model("CreateDashboard").input_shape
    report = botocore.validate.ParamValidator().validate(state, shape)
    assert not report.has_errors(), report.generate_report()
    fields = json.dumps(state["Definition"]).count('"FieldId"')
    assert fields == len(set(ids(state["Definition"])))
    declared = {each["Identifier"] for each in state["Definition"]["DataSetIdentifierDeclarations"]}
    assert declared == {table.name for table in quicksight.SHOWN}


def ids(value):
    """All field ids in a definition: one of a kind in it."""
    if isinstance(value, dict):
        if "FieldId" in value:
            yield value["FieldId"]
        for each in value.values():
            yield from ids(each)
    if isinstance(value, list):
        for each in value:
            yield from ids(each)


def test_a_quicksight_user_without_analytics_is_refused():
    with pytest.raises(BadInputs) as caught:
        aws_site.planned(quicksightUser=USER)
    (error,) = caught.value.errors
    assert (error.field, error.cure) == ("slipway:analytics", "pulumi config set slipway:analytics true")


def test_comments_are_cut_where_glue_takes_no_more():
    assert analytics._comment("a" * 255) == "a" * 255
    assert analytics._comment("a" * 256) == "a" * 252 + "..."
