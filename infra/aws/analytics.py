"""Finished runs in SQL: their tables in Glue's catalogue, a workgroup of Athena, and questions that are often asked."""

import dataclasses
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from infra.aws.account import Account
from infra.aws.storage import QUERIES as RESULTS
from infra.deployment import Deployment
from infra.options import child
from infra.queries import QUERIES
from trainer.store.tables import FOLDER, TABLES, Table, Type

TYPES: Mapping[Type, str] = {Type.STRING: "string", Type.INTEGER: "bigint", Type.NUMBER: "double"}
"""Athena's types. Source: https://docs.aws.amazon.com/athena/latest/ug/data-types.html"""
JSON_LINES = "org.openx.data.jsonserde.JsonSerDe"
"""What reads a JSON object a line. Source: https://docs.aws.amazon.com/athena/latest/ug/openx-json-serde.html"""
TEXT_IN = "org.apache.hadoop.mapred.TextInputFormat"
TEXT_OUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
LONGEST_COMMENT = 255
"""Characters. Source: https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html"""
MOST_SCANNED_BYTES = 100 * 1024**3
"""A query that reads more is stopped: at 5 USD a TB it has cost half a dollar (https://aws.amazon.com/athena/pricing/)."""
ENGINE = "Athena engine version 3"


@dataclasses.dataclass(frozen=True)
class AnalyticsArgs:
    """What `Analytics` needs.

    Attributes:
        deployment: the site.
        account: where it is.
        bucket: the bucket's name.
        store: where runs are, `s3://BUCKET/runs`.
        key_arn: of the key that encrypts the bucket.
    """

    deployment: Deployment
    account: Account
    bucket: pulumi.Input[str]
    store: pulumi.Input[str]
    key_arn: pulumi.Input[str]


class Analytics(pulumi.ComponentResource):
    """A database of finished runs.

    A run puts its rows into the store's tables when it is finished (`trainer.store.tables`), so runs of former
    configurations are there as well, and no crawler is needed. Who asks needs rights of their own: to use the
    workgroup, read the catalogue and the bucket, and decrypt with the key by S3.

    Attributes:
        database: the database's name.
        workgroup: the workgroup's name; results of its queries lie in the bucket for a while, encrypted.
        table_names: the tables' names.
    """

    def __init__(self, name: str, args: AnalyticsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:aws:Analytics", name, None, opts)
        self._args, deployment = args, args.deployment
        database = aws.glue.CatalogDatabase(
            deployment.named("runs"),
            # Its name stands in queries, where dashes need quotes. The bucket's ends in characters that are ours alone.
            name=pulumi.Output.from_input(args.bucket).apply(
                lambda bucket: f"{deployment.name}_{bucket.rpartition('-')[2]}".replace("-", "_")
            ),
            description=f"Finished runs of the Slipway site {deployment.stack}",
            opts=child(self),
        )
        self.database: pulumi.Output[str] = database.name
        self.table_names: Mapping[str, pulumi.Output[str]] = {table.name: self._table(table) for table in TABLES}
        self.workgroup = self._workgroup()
        for query in QUERIES:
            aws.athena.NamedQuery(
                deployment.named(query.name.lower().replace(" ", "-")),
                name=query.name,  # people choose by it; it need not be one of a kind
                description=query.help,
                database=self.database,
                workgroup=self.workgroup,
                query=query.sql,
                opts=child(self),
            )
        self.register_outputs({"database": self.database, "workgroup": self.workgroup})

    def _table(self, table: Table) -> pulumi.Output[str]:
        return aws.glue.CatalogTable(
            self._args.deployment.named(table.name.replace("_", "-")),
            name=table.name,  # stands in queries, and is the database's own
            database_name=self.database,
            description=table.help,
            table_type="EXTERNAL_TABLE",
            parameters={"EXTERNAL": "TRUE", "classification": "json", "compressionType": "gzip"},
            storage_descriptor={
                "location": pulumi.Output.concat(self._args.store, f"/{FOLDER}/{table.name}/"),
                "input_format": TEXT_IN,
                "output_format": TEXT_OUT,
                "compressed": True,
                "ser_de_info": {"serialization_library": JSON_LINES, "parameters": {"serialization.format": "1"}},
                "columns": [
                    {"name": each.name, "type": TYPES[each.type], "comment": _comment(each.help)}
                    for each in table.columns
                ],
            },
            opts=child(self),
        ).name

    def _workgroup(self) -> pulumi.Output[str]:
        args = self._args
        return aws.athena.Workgroup(
            args.deployment.named("runs"),
            description=f"Questions to the runs of the Slipway site {args.deployment.stack}",
            # With all that it remembers of queries; their results lie in the bucket.
            force_destroy=True,
            configuration={
                "enforce_workgroup_configuration": True,
                "publish_cloudwatch_metrics_enabled": True,
                "requester_pays_enabled": False,
                "bytes_scanned_cutoff_per_query": MOST_SCANNED_BYTES,
                "engine_version": {"selected_engine_version": ENGINE},
                "result_configuration": {
                    "output_location": pulumi.Output.concat("s3://", args.bucket, f"/{RESULTS}"),
                    "expected_bucket_owner": args.account.account_id,
                    "encryption_configuration": {"encryption_option": "SSE_KMS", "kms_key_arn": args.key_arn},
                },
            },
            opts=child(self),
        ).name


def _comment(text: str) -> str:
    return text if len(text) <= LONGEST_COMMENT else f"{text[: LONGEST_COMMENT - 3].rstrip()}..."
