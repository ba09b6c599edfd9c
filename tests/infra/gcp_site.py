"""A whole site in Google Cloud as Pulumi's mocks record it, for whoever looks at its resources.

What Google would answer is what its documents say: names of service agents, shapes of ids. It shows what the program
asks for, not that Google takes it.
"""

import functools
import zlib

import recording

from infra import deployment, settings

PROJECT, NUMBER, REGION = "my-project", "123456789012", "us-central1"
CONFIG = {
    "cloud": "gcp",
    "region": REGION,
    "project": PROJECT,
    "run": "cartpole-ppo",
    "machines": "g2-standard-4",
}
RANDOM = "1a2b3c4"
"""What stands for the characters that Pulumi adds to a logical name."""
KEY_ID = f"projects/{PROJECT}/locations/{REGION}/keyRings/slipway-dev-ring-{RANDOM}/cryptoKeys/slipway-dev-key-{RANDOM}"
KEY_AGENTS = {
    "storage": f"service-{NUMBER}@gs-project-accounts.iam.gserviceaccount.com",
    "compute": f"service-{NUMBER}@compute-system.iam.gserviceaccount.com",
    "logging": f"cmek-p{NUMBER}@gcp-sa-logging.iam.gserviceaccount.com",
    "bigquery": f"bq-{NUMBER}@bigquery-encryption.iam.gserviceaccount.com",
}
"""By service, the account with which it encrypts (https://cloud.google.com/iam/docs/service-agents)."""


class Google(recording.Recording):
    """What Google and Pulumi's provider answer; each call of a function is recorded in `calls`."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def new_resource(self, args):
        if self.preview:
            return super().new_resource(args)
        named = {"name": f"{args.name}-{RANDOM}", **args.inputs}
        more = OUTPUTS.get(args.typ, lambda given: {})(named)
        return more.pop("id", f"{args.name}-id"), {**named, **more}

    def call(self, args):
        self.calls.append(args.token)
        return ANSWERS[args.token]


ANSWERS = {
    "gcp:organizations/getProject:getProject": {"number": NUMBER, "projectId": PROJECT},
    "gcp:storage/getProjectServiceAccount:getProjectServiceAccount": {"emailAddress": KEY_AGENTS["storage"]},
    "gcp:logging/getProjectCmekSettings:getProjectCmekSettings": {"serviceAccountId": KEY_AGENTS["logging"]},
    "gcp:bigquery/getDefaultServiceAccount:getDefaultServiceAccount": {"email": KEY_AGENTS["bigquery"]},
}
"""By a function's token."""


def _account(given):
    email = f"{given['accountId']}@{PROJECT}.iam.gserviceaccount.com"
    name = f"projects/{PROJECT}/serviceAccounts/{email}"
    return {"email": email, "name": name, "id": name}


def _link(what):
    def make(given):
        return {"selfLink": f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/{what}/{given['name']}"}

    return make


def _numbered(what):
    """A resource that the service itself names, by a number."""

    def make(given):
        name = f"projects/{PROJECT}/{what}/{zlib.crc32(given['displayName'].encode())}"
        return {"id": name, "name": name}

    return make


OUTPUTS = {
    "gcp:kms/keyRing:KeyRing": lambda given: {
        "id": f"projects/{PROJECT}/locations/{given['location']}/keyRings/{given['name']}"
    },
    "gcp:kms/cryptoKey:CryptoKey": lambda given: {"id": f"{given['keyRing']}/cryptoKeys/{given['name']}"},
    "gcp:serviceaccount/account:Account": _account,
    "gcp:projects/iAMCustomRole:IAMCustomRole": lambda given: {"name": f"projects/{PROJECT}/roles/{given['roleId']}"},
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": lambda given: {
        "id": f"projects/{PROJECT}/locations/{given['location']}/buckets/{given['bucketId']}"
    },
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate": _link(f"regions/{REGION}/instanceTemplates"),
    "gcp:monitoring/alertPolicy:AlertPolicy": _numbered("alertPolicies"),
    "gcp:monitoring/notificationChannel:NotificationChannel": _numbered("notificationChannels"),
    "gcp:monitoring/dashboard:Dashboard": lambda given: {
        "id": f"projects/{NUMBER}/dashboards/0a1b2c3d-0123-4567-89ab-0123456789ab"
    },
}
"""By type, what a resource has beside its inputs."""


def plan(stack="dev", **more):
    """A site with these settings, by Pulumi's keys: `plan(diskGib="200")`; None takes a key away."""
    config = {key: text for key, text in {**CONFIG, **more}.items() if text is not None}
    return deployment.plan(stack, settings.load(config))


@functools.cache
def _recorded(preview, stack, more):
    # Here, as the SDK takes seconds, which whoever only lists tests need not wait.
    from infra.gcp import site

    return recording.record(lambda: site.deploy(plan(stack, **dict(more))), Google(), preview=preview, stack_name=stack)


def record(*, preview=False, stack="dev", **more):
    """The resources and outputs of a site with these settings, recorded once: do not change them."""
    return _recorded(preview, stack, tuple(sorted(more.items())))


def found(resources, kind):
    """The resources of a kind, the last word of its type, by logical name without the site's."""
    named = {each.name.removeprefix("slipway-dev-"): each for each in resources if each.kind == kind and each.custom}
    assert named, f"no {kind}"
    return named


def component(resources, name):
    """The type and children of a component, by its logical name without the site's."""
    [owner] = [each for each in resources if not each.custom and each.name == f"slipway-dev-{name}"]
    ending = f"{owner.type}::{owner.name}"
    return owner.type, [each for each in resources if each.parent.endswith(ending)]
