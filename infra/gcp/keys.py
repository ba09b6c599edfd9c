"""The site's key in Cloud KMS, and which of Google's services may use it."""

import dataclasses

import pulumi
import pulumi_gcp as gcp

from infra.deployment import Deployment
from infra.gcp.services import Services
from infra.options import child, kept

ROTATION_DAYS = 90
"""At most, by the CIS benchmark for Google Cloud, 1.10 (https://www.cisecurity.org/benchmark/google_cloud_computing_platform)."""
USE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
DAY_SECONDS = 24 * 3600


@dataclasses.dataclass(frozen=True)
class KeyArgs:
    """What a key needs.

    Attributes:
        deployment: the site.
        services: switched on before.
    """

    deployment: Deployment
    services: Services


class Key(pulumi.ComponentResource):
    """A key ring with one key, which encrypts all that the site keeps: objects, disks, logs and tables.

    It is used by Google's own service agents alone: who reads an object needs no permission on the key, as Cloud
    Storage decrypts it for whoever may read it. Wait for this component (`depends_on`) before giving the key to a
    service, so that the service may use it then.

    A key ring and a key can never be deleted from a project, and their names never used again; what goes are the key's
    versions, after some days, and without them all that it encrypted is lost
    (https://cloud.google.com/kms/docs/destroy-restore). So both have random names, and stay as empty names.

    Attributes:
        key_id: the key's full name, as services take it: `projects/P/locations/R/keyRings/RING/cryptoKeys/KEY`.
        suffix: random characters of the ring's name. Names that cannot be had again for days or weeks end with it:
            those of roles, service accounts and log buckets.
        project_number: the project's.
    """

    key_id: pulumi.Output[str]
    suffix: pulumi.Output[str]
    project_number: pulumi.Output[str]

    def __init__(self, args: KeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:Key", deployment.named("key"), None, opts)
        settings, project = deployment.settings, deployment.settings.project
        ring = gcp.kms.KeyRing(
            deployment.named("ring"),
            project=project,
            location=settings.region,
            opts=kept(self, deployment, depends_on=args.services.enabled),
        )
        key = gcp.kms.CryptoKey(
            deployment.named("key"),
            key_ring=ring.id,
            purpose="ENCRYPT_DECRYPT",
            rotation_period=f"{ROTATION_DAYS * DAY_SECONDS}s",
            version_template={"algorithm": "GOOGLE_SYMMETRIC_ENCRYPTION", "protection_level": "SOFTWARE"},
            destroy_scheduled_duration=f"{settings.rules.key_deletion_days * DAY_SECONDS}s",
            labels=deployment.tags,
            # A key keeps the waiting time that it was made with; another one would mean another key, and the first
            # one's end, with all that it encrypted.
            opts=kept(self, deployment, ignore_changes=["destroyScheduledDuration"]),
        )
        asked = pulumi.InvokeOutputOptions(parent=self, depends_on=args.services.enabled)
        self.project_number = gcp.organizations.get_project_output(project_id=project, opts=asked).number
        agents = {
            "storage": gcp.storage.get_project_service_account_output(project=project, opts=asked).email_address,
            "compute": self.project_number.apply(
                lambda number: f"service-{number}@compute-system.iam.gserviceaccount.com"
            ),
            "logging": gcp.logging.get_project_cmek_settings_output(project=project, opts=asked).service_account_id,
        }
        if settings.analytics:
            agents["bigquery"] = gcp.bigquery.get_default_service_account_output(project=project, opts=asked).email
        for service, email in agents.items():
            gcp.kms.CryptoKeyIAMMember(
                deployment.named(f"key-{service}"),
                crypto_key_id=key.id,
                role=USE,
                member=pulumi.Output.format("serviceAccount:{0}", email),
                opts=child(self),
            )
        self.key_id = key.id
        self.suffix = ring.name.apply(lambda name: name.rpartition("-")[2])
        self.register_outputs({"keyId": self.key_id})
