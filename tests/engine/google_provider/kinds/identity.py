"""Who may do what: IAM (https://cloud.google.com/iam/docs/reference/rest/v1) and the policies of other services."""

from google_provider.kind import Facts, Kind, Reference, matching
from google_provider.kinds.common import ACCOUNT, BUCKET, DATASET, KEY, KEY_RING, OWN, PATH, PROVIDER, ROLE, TOPIC

member = matching(
    r"allUsers|allAuthenticatedUsers|(user|group|serviceAccount):[^@\s:]+@[^@\s:]+\.[^@\s:]+|domain:[^@\s:]+\.[^@\s:]+"
    r"|project(Owner|Editor|Viewer):[a-z][a-z0-9-]+|serviceAccount:[a-z0-9-]+\.svc\.id\.goog\[\S+\]"
    r"|principal(Set)?://\S+|deleted:\S+\?uid=\d+",
    "a principal such as serviceAccount:ADDRESS or group:ADDRESS",
)
"""https://cloud.google.com/iam/docs/principal-identifiers."""

role = matching(
    r"roles/[a-zA-Z0-9_.]+|(projects/[a-z][a-z0-9-]+|organizations/\d+)/roles/[a-zA-Z0-9_.]{3,64}",
    "a role such as roles/storage.objectViewer",
)
"""https://cloud.google.com/iam/docs/roles-overview."""

permission = matching(r"[a-z][a-zA-Z0-9-]*(\.[a-zA-Z0-9-]+){2,}", "a permission such as storage.objects.get")

POLICIES = (
    ("gcp:storage/bucketIAM{}:BucketIAM{}", "bucket", "b/{bucket}", BUCKET, "storage.v1/Policy.bindings[]"),
    ("gcp:kms/cryptoKeyIAM{}:CryptoKeyIAM{}", "cryptoKeyId", "{cryptoKeyId}", KEY, "cloudkms.v1/Binding"),
    ("gcp:kms/keyRingIAM{}:KeyRingIAM{}", "keyRingId", "{keyRingId}", KEY_RING, "cloudkms.v1/Binding"),
    ("gcp:serviceaccount/iAM{}:IAM{}", "serviceAccountId", "{serviceAccountId}", ACCOUNT, "iam.v1/Binding"),
    ("gcp:projects/iAM{}:IAM{}", "", "{project}", "", "cloudresourcemanager.v3/Binding"),
    ("gcp:pubsub/topicIAM{}:TopicIAM{}", "topic", "projects/{project}/topics/{topic}", TOPIC, "pubsub.v1/Binding"),
    ("gcp:bigquery/datasetIam{}:DatasetIam{}", "datasetId", "projects/{project}/datasets/{datasetId}", DATASET,
     "bigquery.v2/Binding"),
    ("gcp:iap/tunnelIam{}:TunnelIam{}", "", "projects/{project}/iap_tunnel", "", "iap.v1/Binding"),
)  # fmt: skip
"""Token, the property with whose policy it is, its id's beginning, what that property names, the API's schema."""


def _policy(token: str, target: str, beginning: str, of: str, described: str, many: bool) -> Kind:
    who = "members" if many else "member"
    title = "Binding" if many else "Member"
    return Kind(
        token.format(title, title),
        described,
        f"{beginning}/{{role}}" + ("" if many else "/{member}"),
        own=OWN | ({target: PATH} if target else {}),
        rules={"role": role, who: member},
        replaces=frozenset({target or "project", "role", "condition", *([] if many else ["member"])}),
        computed={"etag": "BwY{unique:x}="},
        named="",
        references={
            **({target: Reference((of,))} if of else {}),
            who: Reference(
                (ACCOUNT,), outsiders=r"(?!serviceAccount:).+|serviceAccount:\S+@system\.gserviceaccount\.com"
            ),
            "role": Reference((ROLE,), outsiders=r"roles/.+|organizations/.+"),
        },
        idempotent=True,
    )


def unique_id(facts: Facts) -> str:
    """21 digits, as service accounts have."""
    return f"1{facts.unique:020d}"[:21]


KINDS = (
    Kind(
        ACCOUNT,
        "iam.v1/ServiceAccount",
        "projects/{project}/serviceAccounts/{email}",
        own=OWN | {"accountId": "a parameter of the request", "createIgnoreAlreadyExists": PROVIDER},
        rules={
            "accountId": matching(r"(?=.{6,30}$)[a-z]([-a-z0-9]*[a-z0-9])", "6 to 30 small letters, digits and -"),
            "displayName": matching(r"(?s).{0,100}", "up to 100 characters"),
            "description": matching(r"(?s).{0,256}", "up to 256 characters"),
        },
        replaces=frozenset({"accountId", "project"}),
        defaults={"disabled": False},
        computed={
            "email": "{accountId}@{project}.iam.gserviceaccount.com",
            "member": "serviceAccount:{email}",
            "name": "projects/{project}/serviceAccounts/{email}",
            "uniqueId": unique_id,
        },
        named="accountId",
        name_limit=30,
        known_as=("{email}", "serviceAccount:{email}"),
    ),
    Kind(
        ROLE,
        "iam.v1/Role",
        "projects/{project}/roles/{roleId}",
        renames={"permissions": "includedPermissions"},
        own=OWN | {"roleId": "a parameter of the request"},
        rules={
            "roleId": matching(r"[a-zA-Z0-9_.]{3,64}", "3 to 64 letters, digits, _ and ."),
            "title": matching(r"(?s).{1,100}", "up to 100 characters"),
            "description": matching(r"(?s).{0,300}", "up to 300 characters"),
            "permissions": permission,
        },
        replaces=frozenset({"project", "roleId"}),
        defaults={"stage": "GA"},
        computed={"name": "projects/{project}/roles/{roleId}", "deleted": lambda facts: False},
        named="roleId",
        # https://cloud.google.com/iam/docs/creating-custom-roles#deleting-custom-role
        remains="IAM keeps its id for 44 days",
        restorable=True,
    ),
    *(_policy(*each, many=many) for each in POLICIES for many in (False, True)),
)  # fmt: skip
