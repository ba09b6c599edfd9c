"""What kinds of several services share."""

from google_provider.kind import matching

PATH = "part of the path of the request, in no field"
PROVIDER = "an order to the provider, in no field"

OWN = {"deletionPolicy": PROVIDER, "project": PATH}
"""Properties that nearly every kind has and that the services know nothing of."""

API = "https://www.googleapis.com/"
COMPUTE = API + "compute/v1/"

NETWORK = "gcp:compute/network:Network"
SUBNETWORK = "gcp:compute/subnetwork:Subnetwork"
ROUTER = "gcp:compute/router:Router"
ADDRESS = "gcp:compute/address:Address"
TEMPLATES = (
    "gcp:compute/instanceTemplate:InstanceTemplate",
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate",
)
HEALTH_CHECKS = ("gcp:compute/healthCheck:HealthCheck", "gcp:compute/regionHealthCheck:RegionHealthCheck")
GROUP_MANAGER = "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager"
KEY_RING = "gcp:kms/keyRing:KeyRing"
KEY = "gcp:kms/cryptoKey:CryptoKey"
BUCKET = "gcp:storage/bucket:Bucket"
OBJECT = "gcp:storage/bucketObject:BucketObject"
ACCOUNT = "gcp:serviceaccount/account:Account"
ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
LOG_BUCKET = "gcp:logging/projectBucketConfig:ProjectBucketConfig"
CHANNEL = "gcp:monitoring/notificationChannel:NotificationChannel"
DATASET = "gcp:bigquery/dataset:Dataset"
TABLE = "gcp:bigquery/table:Table"
TOPIC = "gcp:pubsub/topic:Topic"
SERVICE = "gcp:projects/service:Service"

resource_name = matching(
    r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", "a small letter, then up to 62 small letters, digits and -"
)
"""https://cloud.google.com/compute/docs/naming-resources."""
