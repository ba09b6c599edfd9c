"""Finished runs in SQL: a dataset of BigQuery over the tables in the site's bucket, and a way to draw them."""

import dataclasses
import gzip
import json
import tempfile
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_gcp as gcp

from infra.deployment import Deployment
from infra.gcp import views
from infra.gcp.keys import Key
from infra.gcp.services import Services
from infra.gcp.storage import RUNS, Storage
from infra.options import child, kept
from trainer.store.tables import FOLDER, SUFFIX, TABLES, Table, Type

TYPES: Mapping[Type, str] = {Type.STRING: "STRING", Type.INTEGER: "INTEGER", Type.NUMBER: "FLOAT"}
"""BigQuery's names of types (https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema)."""
DRAWN = "https://lookerstudio.google.com/reporting/create"
"""Looker Studio's Linking API (https://developers.google.com/looker-studio/integrate/linking-api)."""
NOBODY = "-"
"""A file of this name is no run's: their names begin with a letter or a digit."""

_folder: tempfile.TemporaryDirectory[str] | None = None
"""Files of this process: the engine reads them while it uploads them, and they go with the process."""


@dataclasses.dataclass(frozen=True)
class AnalyticsArgs:
    """What analytics need.

    Attributes:
        deployment: the site.
        services: switched on before.
        key: encrypts what BigQuery itself keeps.
        storage: has the tables' files.
    """

    deployment: Deployment
    services: Services
    key: Key
    storage: Storage


class Analytics(pulumi.ComponentResource):
    """A dataset: an external table over each of the store's tables, a view over each of those, and of each question.

    Nothing is loaded or kept twice: a query reads the files of all finished runs as they lie in the bucket. A table
    without a single file cannot be asked anything, so each has one that names no run, which the views leave out.

    **Who may ask.** No account of the site's gets anything for this. Who asks needs roles/bigquery.jobUser on the
    project, roles/bigquery.dataViewer on the dataset and roles/storage.objectViewer on the bucket, as external tables
    read files with the rights of who asks (https://cloud.google.com/bigquery/docs/external-data-cloud-storage). Owners
    of the project have all that. Nobody needs a right on the key: Cloud Storage decrypts the files, and BigQuery's own
    account, which may use the key, encrypts results that it keeps, in the dataset or for a day in its cache
    (https://cloud.google.com/bigquery/docs/customer-managed-encryption).

    Attributes:
        dataset: its full name, as SQL has it: `PROJECT.DATASET`.
        urls: by view, where Looker Studio makes a report of it.
    """

    dataset: pulumi.Output[str]
    urls: Mapping[str, pulumi.Output[str]]

    def __init__(self, args: AnalyticsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:Analytics", deployment.named("analytics"), None, opts)
        self._args = args
        settings, project = deployment.settings, str(deployment.settings.project)
        made = gcp.bigquery.Dataset(
            deployment.named("runs"),
            project=project,
            # People write it in their SQL, so it is no random name.
            dataset_id=deployment.name.replace("-", "_"),
            friendly_name=f"Slipway {deployment.stack}",
            description=f"Finished runs of {deployment.name}.",
            location=settings.region,
            default_encryption_configuration={"kms_key_name": args.key.key_id},
            delete_contents_on_destroy=settings.rules.force_destroy,
            labels=deployment.tags,
            opts=kept(self, deployment, depends_on=[*args.services.enabled, args.key]),
        )
        self.dataset = pulumi.Output.concat(project, ".", made.dataset_id)
        files = {table.name: self._files(table, made.dataset_id) for table in TABLES}
        plain: list[pulumi.Resource] = [
            self._view(view, made.dataset_id, [files[view.name]]) for view in views.of_tables()
        ]
        further = list(views.of_queries())
        for view in further:
            self._view(view, made.dataset_id, plain)
        self.urls = {
            view.name: made.dataset_id.apply(lambda dataset, view=view: link(deployment, dataset, view.name))
            for view in further
        }
        self.register_outputs({"dataset": self.dataset, "urls": self.urls})

    def _files(self, table: Table, dataset: pulumi.Input[str]) -> pulumi.Resource:
        """A table over files. It holds nothing, and is replaced when its columns change: so it is never protected."""
        deployment, storage = self._args.deployment, self._args.storage
        prefix = f"{RUNS}{FOLDER}/{table.name}/"
        nobody = gcp.storage.BucketObject(
            deployment.named(f"{table.name}-nobody"),
            bucket=storage.bucket,
            name=f"{prefix}{NOBODY}{SUFFIX}",
            source=pulumi.FileAsset(str(_nobody())),
            content_type="application/gzip",
            opts=child(self, depends_on=[storage]),
        )
        return gcp.bigquery.Table(
            deployment.named(f"{table.name}-files"),
            project=deployment.settings.project,
            dataset_id=dataset,
            table_id=views.files(table.name),
            description=f"{table.help} As the files have it: ask {table.name} instead.",
            external_data_configuration={
                "source_format": "NEWLINE_DELIMITED_JSON",
                "compression": "GZIP",
                "source_uris": [pulumi.Output.concat("gs://", storage.bucket, "/", prefix, "*", SUFFIX)],
                "autodetect": False,
                # Files of later versions may have more columns.
                "ignore_unknown_values": True,
                "schema": json.dumps(schema(table)),
            },
            deletion_protection=False,
            labels=deployment.tags,
            opts=child(self, depends_on=[nobody]),
        )

    def _view(self, view: views.View, dataset: pulumi.Output[str], over: list[pulumi.Resource]) -> pulumi.Resource:
        deployment = self._args.deployment
        project = str(deployment.settings.project)
        return gcp.bigquery.Table(
            deployment.named(view.name.replace("_", "-")),
            project=project,
            dataset_id=dataset,
            table_id=view.name,
            description=view.help,
            view={
                "query": dataset.apply(lambda name: view.query(f"{project}.{name}")),
                "use_legacy_sql": False,
            },
            deletion_protection=deployment.settings.rules.deletion_protection,
            labels=deployment.tags,
            opts=child(self, depends_on=over),
        )


def schema(table: Table) -> list[dict[str, str]]:
    """A table's columns, as BigQuery has them."""
    return [
        {"name": column.name, "type": TYPES[column.type], "mode": "NULLABLE", "description": column.help}
        for column in table.columns
    ]


def link(deployment: Deployment, dataset: str, view: str) -> str:
    """Where Looker Studio makes a new report whose data are a view's; it becomes the report of who follows it.

    Who follows it must be allowed to ask. The parameters are those of the Linking API for BigQuery.
    """
    source = {
        "connector": "bigQuery",
        "type": "TABLE",
        "projectId": deployment.settings.project,
        "datasetId": dataset,
        "tableId": view,
        "billingProjectId": deployment.settings.project,
        "datasourceName": f"{deployment.name}: {view}",
    }
    report = {"c.mode": "edit", "r.reportName": f"{deployment.name}: {view.replace('_', ' ')}"}
    parameters = {**report, **{f"ds.ds0.{name}": each for name, each in source.items()}}
    return f"{DRAWN}?{urllib.parse.urlencode(parameters, quote_via=urllib.parse.quote)}"


def _nobody() -> Path:
    """A file with a row that says nothing, the same bytes each time."""
    global _folder
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="slipway-")
    path = Path(_folder.name) / f"{NOBODY}{SUFFIX}"
    path.write_bytes(gzip.compress(b"{}\n", mtime=0))
    return path
