"""Keys: Cloud KMS (https://cloud.google.com/kms/docs/reference/rest/v1)."""

from google_provider.kind import Kind, Reference, labels, matching, one_of, seconds
from google_provider.kinds.common import KEY, KEY_RING, OWN, PATH, PROVIDER
from google_provider.places import REGIONS

DAY_SECONDS = 86_400
MULTIREGIONS = ("global", "asia", "asia1", "ca", "de", "eu", "eur3", "eur4", "eur5", "eur6", "europe", "in", "it",
                "nam3", "nam4", "nam6", "nam7", "nam8", "nam9", "nam10", "nam11", "nam12", "us")  # fmt: skip
"""https://cloud.google.com/kms/docs/locations."""

name = matching(r"[a-zA-Z0-9_-]{1,63}", "up to 63 letters, digits, _ and -")
STAYS = "Cloud KMS keeps its name for ever"

KINDS = (
    Kind(
        KEY_RING,
        "cloudkms.v1/KeyRing",
        "projects/{project}/locations/{location}/keyRings/{name}",
        own=OWN | {"location": PATH},
        rules={"name": name, "location": one_of(*REGIONS, *MULTIREGIONS)},
        replaces=frozenset({"location", "name", "project"}),
        remains=STAYS,
    ),
    Kind(
        KEY,
        "cloudkms.v1/CryptoKey",
        "{keyRing}/cryptoKeys/{name}",
        own=OWN | {"keyRing": PATH, "skipInitialVersionCreation": PROVIDER},
        rules={
            "name": name,
            "labels": labels,
            "rotationPeriod": seconds(DAY_SECONDS, 36500 * DAY_SECONDS),
            "destroyScheduledDuration": seconds(DAY_SECONDS, 120 * DAY_SECONDS),
        },
        replaces=frozenset({
            "cryptoKeyBackend", "destroyScheduledDuration", "importOnly", "keyRing", "name", "purpose",
            "skipInitialVersionCreation",
        }),
        defaults={"purpose": "ENCRYPT_DECRYPT"},
        computed={
            "primaries": lambda facts: [
                {"name": facts.fill("{keyRing}/cryptoKeys/{name}/cryptoKeyVersions/1"), "state": "ENABLED"}
            ],
            "destroyScheduledDuration": "2592000s",
            "importOnly": lambda facts: False,
            "versionTemplate": lambda facts: {
                "algorithm": "GOOGLE_SYMMETRIC_ENCRYPTION", "protectionLevel": "SOFTWARE",
            },
        },
        references={"keyRing": Reference((KEY_RING,))},
        remains=STAYS,
    ),
)  # fmt: skip
