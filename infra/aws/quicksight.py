"""A dashboard of finished runs in Amazon QuickSight, for accounts that have a subscription of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.account import Account
from infra.deployment import Deployment
from infra.options import child, value
from trainer.store.tables import METRICS, RUNS, Column, Table, Type

TYPES: Mapping[Type, str] = {Type.STRING: "STRING", Type.INTEGER: "INTEGER", Type.NUMBER: "DECIMAL"}
SHOWN = (RUNS, METRICS)
CATALOG = "AwsDataCatalog"
_READ = {
    "data source": ("DescribeDataSource", "DescribeDataSourcePermissions", "PassDataSource"),
    "data set": ("DescribeDataSet", "DescribeDataSetPermissions", "PassDataSet", "DescribeIngestion", "ListIngestions"),
    "dashboard": ("DescribeDashboard", "ListDashboardVersions", "QueryDashboard"),
}
"""What who looks may do.

Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonquicksight.html
"""


@dataclasses.dataclass(frozen=True)
class QuickSightArgs:
    """What `QuickSight` needs.

    Attributes:
        deployment: the site; its settings name the user who sees it all.
        account: where it is.
        database: the database's name in Glue's catalogue.
        workgroup: the workgroup of Athena.
    """

    deployment: Deployment
    account: Account
    database: pulumi.Input[str]
    workgroup: pulumi.Input[str]


class QuickSight(pulumi.ComponentResource):
    """A data source, a data set for each table that is shown, and a dashboard.

    QuickSight reads with a role of its own, `aws-quicksight-service-role-v0`. Once for each site an administrator of
    QuickSight lets that role have the bucket (Manage QuickSight, Security & permissions, Amazon S3), and an
    administrator of the account gives it kms:Decrypt with the site's key.

    The package for AWS knows no definitions of dashboards, so Cloud Control makes it, with CloudFormation's schema.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-quicksight-dashboard.html
    """

    def __init__(self, name: str, args: QuickSightArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:aws:QuickSight", name, None, opts)
        self._args, deployment = args, args.deployment
        # Ids are the account's; the database's name is one of a kind in it.
        self._id = pulumi.Output.from_input(args.database).apply(lambda database: database.replace("_", "-"))
        user = value(deployment, "quicksight_user")
        source = aws.quicksight.DataSource(
            deployment.named("runs"),
            data_source_id=self._id,
            name=f"Slipway {deployment.stack}",
            type="ATHENA",
            parameters={"athena": {"work_group": args.workgroup}},
            permissions=[aws.quicksight.DataSourcePermissionArgs(principal=user, actions=_actions("data source"))],
            opts=child(self),
        )
        sets = {table.name: self._data_set(table, source.arn) for table in SHOWN}
        said = {
            "AwsAccountId": args.account.account_id,
            "DashboardId": self._id,
            "Name": f"Slipway {deployment.stack}: finished runs",
            "Permissions": [{"Principal": user, "Actions": _actions("dashboard")}],
            "Tags": [{"Key": key, "Value": text} for key, text in deployment.tags.items()],
            "Definition": definition(sets),
        }
        aws.cloudcontrol.Resource(
            deployment.named("runs-dashboard"),
            type_name="AWS::QuickSight::Dashboard",
            desired_state=pulumi.Output.json_dumps(said, sort_keys=True),
            opts=child(self),
        )
        self.register_outputs({})

    def _data_set(self, table: Table, source_arn: pulumi.Input[str]) -> pulumi.Output[str]:
        """A data set of a table, which is asked whenever someone looks; its ARN."""
        deployment = self._args.deployment
        return aws.quicksight.DataSet(
            deployment.named(table.name),
            data_set_id=pulumi.Output.concat(self._id, f"-{table.name}"),
            name=f"Slipway {deployment.stack}: {table.name}",
            import_mode="DIRECT_QUERY",
            physical_table_maps=[
                {
                    "physical_table_map_id": table.name,
                    "relational_table": {
                        "data_source_arn": source_arn,
                        "catalog": CATALOG,
                        "schema": self._args.database,
                        "name": table.name,
                        "input_columns": [{"name": each.name, "type": TYPES[each.type]} for each in table.columns],
                    },
                }
            ],
            permissions=[
                aws.quicksight.DataSetPermissionArgs(
                    principal=value(deployment, "quicksight_user"), actions=_actions("data set")
                )
            ],
            opts=child(self),
        ).arn


def definition(data_sets: Mapping[str, pulumi.Input[str]]) -> dict[str, Any]:
    """The dashboard: results and costs on one sheet, learning curves on another.

    Args:
        data_sets: ARNs by the tables' names.
    """
    results = [
        _table("runs", "Runs", RUNS, ("env_id", "algorithm", "run_id", "score", "optimality_gap_ratio", "cost_usd")),
        _bars("scores", "Mean score", RUNS, "env_id", "score", "AVERAGE", "algorithm"),
        _bars("costs", "Cost, USD", RUNS, "env_id", "cost_usd", "SUM", "algorithm"),
    ]
    curves = [_lines("curves", "Score by environment step", METRICS, "step", "rl_score", "run_id")]
    return {
        "DataSetIdentifierDeclarations": [
            {"Identifier": name, "DataSetArn": arn} for name, arn in sorted(data_sets.items())
        ],
        "Sheets": [
            {"SheetId": "results", "Name": "Results", "Visuals": results},
            {"SheetId": "learning", "Name": "Learning", "Visuals": curves},
        ],
    }


def _table(visual: str, title: str, table: Table, columns: Sequence[str]) -> dict[str, Any]:
    fields = [{"FieldId": f"{visual}.{name}", "Column": _column(table, name)} for name in columns]
    return {"TableVisual": _visual(visual, title, {"TableUnaggregatedFieldWells": {"Values": fields}})}


def _bars(
    visual: str, title: str, table: Table, category: str, measure: str, aggregation: str, colors: str
) -> dict[str, Any]:
    wells = {
        "Category": [_dimension(visual, table, category)],
        "Values": [_measure(visual, table, measure, aggregation)],
        "Colors": [_dimension(visual, table, colors)],
    }
    return {"BarChartVisual": _visual(visual, title, {"BarChartAggregatedFieldWells": wells})}


def _lines(visual: str, title: str, table: Table, across: str, measure: str, colors: str) -> dict[str, Any]:
    wells = {
        "Category": [_dimension(visual, table, across)],
        "Values": [_measure(visual, table, measure, "AVERAGE")],
        "Colors": [_dimension(visual, table, colors)],
    }
    return {"LineChartVisual": _visual(visual, title, {"LineChartAggregatedFieldWells": wells})}


def _visual(visual: str, title: str, wells: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "VisualId": visual,
        "Title": {"Visibility": "VISIBLE", "FormatText": {"PlainText": title}},
        "ChartConfiguration": {"FieldWells": wells},
    }


def _dimension(visual: str, table: Table, name: str) -> dict[str, Any]:
    kind = "CategoricalDimensionField" if _found(table, name).type is Type.STRING else "NumericalDimensionField"
    return {kind: {"FieldId": f"{visual}.{name}", "Column": _column(table, name)}}


def _measure(visual: str, table: Table, name: str, aggregation: str) -> dict[str, Any]:
    return {
        "NumericalMeasureField": {
            "FieldId": f"{visual}.{name}",
            "Column": _column(table, name),
            "AggregationFunction": {"SimpleNumericalAggregation": aggregation},
        }
    }


def _column(table: Table, name: str) -> dict[str, str]:
    return {"DataSetIdentifier": table.name, "ColumnName": _found(table, name).name}


def _found(table: Table, name: str) -> Column:
    """A table's column.

    Raises:
        KeyError: if it has none of that name.
    """
    return {column.name: column for column in table.columns}[name]


def _actions(what: str) -> list[str]:
    return [f"quicksight:{action}" for action in _READ[what]]
