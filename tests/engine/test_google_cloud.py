"""What the imitated Google Cloud makes, keeps, refuses to delete, and answers.

It has one project, and lets anybody do anything, but for one thing: a service may use a key only once its agent was
allowed to, as in truth. There are no quotas, nothing takes time, and nothing that was made is ever not there yet.
"""

import json
import threading

import pytest
from google_provider import lookups
from google_provider.cloud import Cloud, Refused
from google_provider.kinds import KINDS
from google_provider.world import World
from servers import gcs, gcs_environment

NETWORK, SUBNETWORK = "gcp:compute/network:Network", "gcp:compute/subnetwork:Subnetwork"
TEMPLATE = "gcp:compute/instanceTemplate:InstanceTemplate"
GROUP = "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager"
RING, KEY = "gcp:kms/keyRing:KeyRing", "gcp:kms/cryptoKey:CryptoKey"
GRANT = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"
BUCKET, OBJECT = "gcp:storage/bucket:Bucket", "gcp:storage/bucketObject:BucketObject"
ACCOUNT, ROLE = "gcp:serviceaccount/account:Account", "gcp:projects/iAMCustomRole:IAMCustomRole"
MEMBER = "gcp:projects/iAMMember:IAMMember"
LOG_BUCKET = "gcp:logging/projectBucketConfig:ProjectBucketConfig"
SINK = "gcp:logging/projectSink:ProjectSink"
DATASET, TABLE = "gcp:bigquery/dataset:Dataset", "gcp:bigquery/table:Table"
TOPIC = "gcp:pubsub/topic:Topic"
SERVICE = "gcp:projects/service:Service"
IDENTITY = "gcp:projects/serviceIdentity:ServiceIdentity"
USE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
LINK = "https://www.googleapis.com/compute/v1/projects/slipway-test"


@pytest.fixture
def world(tmp_path):
    return World.create(tmp_path / "world.json")


@pytest.fixture
def cloud(world):
    return Cloud(world.read(), "us-central1", "us-central1-a")


@pytest.fixture
def buckets(monkeypatch):
    with gcs() as address:
        for name, value in gcs_environment(address).items():
            monkeypatch.setenv(name, value)
        yield


def make(cloud, token, **properties):
    """Make a resource, with the defaults that the provider would fill in; its id."""
    kind = KINDS[token]
    return cloud.create(kind, {**kind.defaults, "project": "slipway-test", **properties})[0]


def delete(cloud, token, id_):
    state = cloud.held(token)[id_]["state"]
    return cloud.delete(KINDS[token], id_, state)


def key(cloud, **properties):
    ring = make(cloud, RING, name="ring", location="us-central1")
    return make(cloud, KEY, name="key", keyRing=ring, **properties)


def grant(cloud, key, agent):
    return make(cloud, GRANT, cryptoKeyId=key, role=USE, member=f"serviceAccount:{agent}")


# ---- names and outputs -----------------------------------------------------------
def test_outputs_are_shaped_as_the_real_ones(cloud):
    id_, network = cloud.create(KINDS[NETWORK], {"name": "net", "project": "slipway-test"})
    assert id_ == "projects/slipway-test/global/networks/net"
    assert network["selfLink"] == f"{LINK}/global/networks/net"
    assert network["networkId"].isdigit()
    _, subnet = cloud.create(KINDS[SUBNETWORK], {"name": "sub", "network": id_, "ipCidrRange": "10.1.0.0/20"})
    assert (subnet["region"], subnet["gatewayAddress"]) == ("us-central1", "10.1.0.1")
    assert subnet["selfLink"] == f"{LINK}/regions/us-central1/subnetworks/sub"
    _, account = cloud.create(KINDS[ACCOUNT], {"accountId": "slipway", "project": "slipway-test"})
    assert account["email"] == "slipway@slipway-test.iam.gserviceaccount.com"
    assert account["member"] == f"serviceAccount:{account['email']}"
    assert account["name"] == f"projects/slipway-test/serviceAccounts/{account['email']}"
    assert len(account["uniqueId"]) == 21
    ring, _ = cloud.create(KINDS[RING], {"name": "ring", "location": "us", "project": "slipway-test"})
    assert ring == "projects/slipway-test/locations/us/keyRings/ring"
    id_, made = cloud.create(KINDS[KEY], {"name": "key", "keyRing": ring})
    assert made["primaries"] == [{"name": f"{id_}/cryptoKeyVersions/1", "state": "ENABLED"}]


def test_each_has_numbers_of_its_own(cloud):
    links = [
        cloud.create(KINDS[TEMPLATE], {"name": name, "project": "slipway-test"})[1]["selfLinkUnique"] for name in "abc"
    ]
    assert len({link.rpartition("=")[2] for link in links}) == 3


def test_a_sink_within_the_project_has_no_writer(cloud):
    bucket = make(cloud, LOG_BUCKET, location="us-central1", bucketId="logs")
    topic = make(cloud, TOPIC, name="topic")
    within = make(cloud, SINK, name="within", destination=f"logging.googleapis.com/{bucket}")
    beyond = make(cloud, SINK, name="beyond", destination=f"pubsub.googleapis.com/{topic}")
    assert cloud.held(SINK)[within]["state"]["writerIdentity"] == ""
    agent = "service-123456789012@gcp-sa-logging.iam.gserviceaccount.com"
    assert cloud.held(SINK)[beyond]["state"]["writerIdentity"] == f"serviceAccount:{agent}"
    make(cloud, MEMBER, role="roles/pubsub.publisher", member=f"serviceAccount:{agent}")  # it is there now


# ---- what is refused -------------------------------------------------------------
def test_a_name_is_taken_once(cloud):
    make(cloud, NETWORK, name="net")
    with pytest.raises(Refused, match="409: Network projects/slipway-test/global/networks/net already exists"):
        make(cloud, NETWORK, name="net")


def test_what_is_named_must_be_there(cloud):
    with pytest.raises(Refused, match="404: network of Subnetwork names net, and there is no such Network"):
        make(cloud, SUBNETWORK, name="sub", network="net", ipCidrRange="10.0.0.0/20")
    make(cloud, NETWORK, name="net")
    for number, named in enumerate(("net", "projects/slipway-test/global/networks/net", f"{LINK}/global/networks/net")):
        make(cloud, SUBNETWORK, name=f"sub-{number}", network=named, ipCidrRange="10.0.0.0/20")
    with pytest.raises(Refused, match="no such Network"):  # a subnetwork is none
        make(cloud, SUBNETWORK, name="other", network=cloud_id(SUBNETWORK, "sub-0"), ipCidrRange="10.0.0.0/20")


def cloud_id(token, name):
    return KINDS[token].id.format(project="slipway-test", region="us-central1", name=name)


@pytest.mark.parametrize(
    ("member", "there"),
    [
        ("serviceAccount:slipway@slipway-test.iam.gserviceaccount.com", True),
        ("serviceAccount:slipwai@slipway-test.iam.gserviceaccount.com", False),
        ("serviceAccount:service-123456789012@compute-system.iam.gserviceaccount.com", True),
        ("serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com", False),
        ("group:cloud-storage-analytics@google.com", True),
        ("serviceAccount:cloud-logs@system.gserviceaccount.com", True),
    ],
)
def test_who_is_allowed_something_must_be_there(cloud, member, there):
    make(cloud, ACCOUNT, accountId="slipway")
    if there:
        make(cloud, MEMBER, role="roles/viewer", member=member)
    else:
        with pytest.raises(Refused, match="no such Account"):
            make(cloud, MEMBER, role="roles/viewer", member=member)


def test_service_agents_come_when_they_are_asked_for(cloud):
    agent = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    with pytest.raises(Refused, match="no such Account"):
        make(cloud, MEMBER, role="roles/viewer", member=agent)
    make(cloud, IDENTITY, service="pubsub.googleapis.com")
    make(cloud, MEMBER, role="roles/viewer", member=agent)
    answer = lookups.FUNCTIONS["gcp:storage/getProjectServiceAccount:getProjectServiceAccount"](cloud, {})
    make(cloud, MEMBER, role="roles/viewer", member=answer["member"])


def test_a_custom_role_must_be_there(cloud):
    with pytest.raises(Refused, match="no such IAMCustomRole"):
        make(cloud, MEMBER, role="projects/slipway-test/roles/mine", member="group:a@b.com")
    make(cloud, ROLE, roleId="mine", title="mine", permissions=["a.b.c"])
    make(cloud, MEMBER, role="projects/slipway-test/roles/mine", member="group:a@b.com")


def test_a_key_must_be_allowed_and_near(cloud):
    made = key(cloud)
    agent = "cmek-p123456789012@gcp-sa-logging.iam.gserviceaccount.com"
    lookups.FUNCTIONS["gcp:logging/getProjectCmekSettings:getProjectCmekSettings"](cloud, {})
    wanted = {"bucketId": "logs", "cmekSettings": {"kmsKeyName": made}}
    with pytest.raises(Refused, match=f"403: ProjectBucketConfig: {agent} may not use the key {made}"):
        make(cloud, LOG_BUCKET, location="us-central1", **wanted)
    grant(cloud, made, agent)
    with pytest.raises(Refused, match=r"400: .* is in us-central1, and must be in us-east1"):
        make(cloud, LOG_BUCKET, location="us-east1", **wanted)
    with pytest.raises(Refused, match=r"404: .* there is no such key"):
        make(cloud, LOG_BUCKET, location="us-central1", bucketId="logs", cmekSettings={"kmsKeyName": made + "s"})
    make(cloud, LOG_BUCKET, location="us-central1", **wanted)


def test_disks_are_encrypted_when_machines_start(cloud):
    made = key(cloud)
    make(cloud, NETWORK, name="net")
    disks = [{"boot": True, "diskEncryptionKey": {"kmsKeySelfLink": made}}]
    template = make(cloud, TEMPLATE, name="t", disks=disks, networkInterfaces=[{"network": "net"}])
    group = {"region": "us-central1", "versions": [{"instanceTemplate": template}]}
    make(cloud, GROUP, name="none", targetSize=0, **group)
    with pytest.raises(Refused, match=r"service-123456789012@compute-system.iam.gserviceaccount.com may not use"):
        make(cloud, GROUP, name="one", targetSize=1, **group)
    grant(cloud, made, "service-123456789012@compute-system.iam.gserviceaccount.com")
    make(cloud, GROUP, name="one", targetSize=1, **group)


def test_a_service_must_be_switched_on(tmp_path):
    world = World.create(tmp_path / "fresh.json", services=["storage.googleapis.com"])
    with world.changing() as data:
        cloud = Cloud(data, "us-central1")
        with pytest.raises(Refused, match=r"403: compute.googleapis.com has not been used in project slipway-test"):
            make(cloud, NETWORK, name="net")
        compute = make(cloud, SERVICE, service="compute.googleapis.com")
        make(cloud, NETWORK, name="net")
        assert delete(cloud, SERVICE, compute) == "it stays switched on"
        make(cloud, NETWORK, name="another")
        compute = make(cloud, SERVICE, service="compute.googleapis.com", disableOnDestroy=True)
        assert delete(cloud, SERVICE, compute) == ""
        with pytest.raises(Refused, match="403"):
            make(cloud, NETWORK, name="third")


def test_another_project_is_none(cloud):
    with pytest.raises(Refused, match="403: there is no project other"):
        make(cloud, NETWORK, name="net", project="other")


# ---- what cannot be deleted, and what stays --------------------------------------
def test_what_others_use_stays(cloud):
    network = make(cloud, NETWORK, name="net")
    subnet = make(cloud, SUBNETWORK, name="sub", network=network, ipCidrRange="10.0.0.0/20")
    with pytest.raises(Refused, match=f"in use by Subnetwork {subnet}, resourceInUseByAnotherResource"):
        delete(cloud, NETWORK, network)
    template = make(cloud, TEMPLATE, name="t", networkInterfaces=[{"subnetwork": subnet}])
    versions = [{"instanceTemplate": f"{LINK}/global/instanceTemplates/t"}]
    group = make(cloud, GROUP, name="g", targetSize=1, region="us-central1", versions=versions)
    with pytest.raises(Refused, match="in use by RegionInstanceGroupManager"):
        delete(cloud, TEMPLATE, template)
    with pytest.raises(Refused, match=r"in use by the machines of .*/g"):
        delete(cloud, SUBNETWORK, subnet)
    cloud.update(KINDS[GROUP], group, {**cloud.held(GROUP)[group]["state"], "targetSize": 0})
    delete(cloud, SUBNETWORK, subnet)
    for token, id_ in ((GROUP, group), (TEMPLATE, template), (NETWORK, network)):
        delete(cloud, token, id_)
        assert cloud.read(KINDS[token], id_) is None


def test_keys_and_rings_keep_their_names(cloud):
    made = key(cloud)
    ring = made.rpartition("/cryptoKeys/")[0]
    assert delete(cloud, KEY, made) == delete(cloud, RING, ring) == "Cloud KMS keeps its name for ever"
    with pytest.raises(Refused, match=r"409: KeyRing .* was deleted, but Cloud KMS keeps its name for ever"):
        make(cloud, RING, name="ring", location="us-central1")


def test_a_deleted_role_can_be_had_back(cloud):
    properties = {"roleId": "mine", "title": "mine", "permissions": ["a.b.c"]}
    role = make(cloud, ROLE, **properties)
    assert delete(cloud, ROLE, role) == "IAM keeps its id for 44 days"
    assert make(cloud, ROLE, **properties) == role


def test_a_protected_table_and_a_dataset_that_is_not_empty(cloud):
    dataset = make(cloud, DATASET, datasetId="runs")
    table = make(cloud, TABLE, datasetId="runs", tableId="metrics")
    with pytest.raises(Refused, match="deletionProtection is True"):
        delete(cloud, TABLE, table)
    with pytest.raises(Refused, match=f"in use by Table {table}"):
        delete(cloud, DATASET, dataset)
    state = cloud.held(DATASET)[dataset]["state"]
    cloud.delete(KINDS[DATASET], dataset, {**state, "deleteContentsOnDestroy": True})
    assert cloud.held(TABLE) == {}


def test_deletion_policies(cloud):
    network = make(cloud, NETWORK, name="net", deletionPolicy="PREVENT")
    with pytest.raises(Refused, match="deletionPolicy is PREVENT"):
        delete(cloud, NETWORK, network)
    cloud.delete(KINDS[NETWORK], network, {"deletionPolicy": "ABANDON"})
    assert cloud.read(KINDS[NETWORK], network)


# ---- buckets ---------------------------------------------------------------------
def test_buckets_and_objects_are_kept_by_a_server(cloud, buckets):
    from google.cloud import storage

    bucket = make(cloud, BUCKET, name="a-bucket", location="us-central1")
    hello = make(cloud, OBJECT, bucket=bucket, name="hello", content="Hello")
    server = storage.Client()
    assert server.bucket("a-bucket").blob("hello").download_as_bytes() == b"Hello"
    assert cloud.held(OBJECT)[hello]["state"]["md5hexhash"] == "8b1a9953c4611296a827abf8c47804d7"
    with pytest.raises(Refused, match="409: Bucket a-bucket already exists"):
        make(cloud, BUCKET, name="a-bucket", location="us-central1")
    server.create_bucket("another")  # somebody else's
    with pytest.raises(Refused, match="409: the bucket name another is not available"):
        make(cloud, BUCKET, name="another", location="us-central1")
    server.bucket("a-bucket").blob("hello").delete()
    assert cloud.read(KINDS[OBJECT], hello) is None
    server.bucket("a-bucket").delete()
    assert cloud.read(KINDS[BUCKET], bucket) is None
    with pytest.raises(Refused, match="404: there is no bucket a-bucket"):
        make(cloud, OBJECT, bucket="a-bucket", name="hello", content="Hello")


def test_a_bucket_with_objects_goes_by_force_alone(cloud, buckets):
    from google.cloud import storage

    bucket = make(cloud, BUCKET, name="a-bucket", location="us-central1", versioning={"enabled": True})
    blob = storage.Client().bucket("a-bucket").blob("x")
    blob.upload_from_string("1")
    blob.upload_from_string("2")  # the first is a version now
    with pytest.raises(Refused, match="the bucket a-bucket has 2 objects, and forceDestroy is not set in the state"):
        delete(cloud, BUCKET, bucket)
    cloud.delete(KINDS[BUCKET], bucket, {"forceDestroy": True})
    assert storage.Client().lookup_bucket("a-bucket") is None


# ---- data sources ----------------------------------------------------------------
def test_data_sources(cloud):
    ask = lambda token, **inputs: lookups.FUNCTIONS[token](cloud, inputs)  # noqa: E731
    project = ask("gcp:organizations/getProject:getProject", projectId="slipway-test")
    assert project["number"] == "123456789012"
    assert ask("gcp:compute/getZones:getZones", region="us-east1")["names"] == [f"us-east1-{z}" for z in "bcd"]
    image = ask("gcp:compute/getImage:getImage", project="debian-cloud", family="debian-12")
    assert image["selfLink"].startswith(
        "https://www.googleapis.com/compute/v1/projects/debian-cloud/global/images/debian"
    )
    for token, inputs in (
        ("gcp:organizations/getProject:getProject", {"projectId": "other"}),
        ("gcp:compute/getZones:getZones", {"region": "us-north9"}),
        ("gcp:compute/getImage:getImage", {"project": "debian-cloud", "family": "debian-99"}),
        ("gcp:compute/getNetwork:getNetwork", {"name": "net"}),
    ):
        with pytest.raises(Refused, match="404"):
            ask(token, **inputs)
    make(cloud, NETWORK, name="net")
    assert ask("gcp:compute/getNetwork:getNetwork", name="net")["selfLink"] == f"{LINK}/global/networks/net"
    policy = ask("gcp:organizations/getIAMPolicy:getIAMPolicy", bindings=[{"role": "roles/viewer", "members": ["a"]}])
    assert json.loads(policy["policyData"]) == {"bindings": [{"role": "roles/viewer", "members": ["a"]}]}


def test_what_a_data_source_cannot_be_given():
    token = "gcp:compute/getZones:getZones"
    assert lookups.refusals(token, {"region": "us-east1", "status": "UP"}) == []
    found = lookups.refusals(token, {"regoin": "us-east1", "project": 3})
    assert [path for path, _ in found] == ["regoin", "project"]


# ---- the world -------------------------------------------------------------------
def test_a_world_is_one_for_all(world):
    def count():
        for _ in range(20):
            with world.changing() as data:
                data["count"] += 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.read()["count"] == 80


def test_what_fails_changes_nothing(world):
    def make_twice():
        with world.changing() as data:
            make(Cloud(data, "us-central1"), NETWORK, name="net")
            make(Cloud(data, "us-central1"), NETWORK, name="net")

    with pytest.raises(Refused):
        make_twice()
    assert world.ids(NETWORK) == []


def test_what_happens_behind_pulumis_back(world):
    with world.changing() as data:
        id_ = make(Cloud(data, "us-central1"), NETWORK, name="net")
    world.change(NETWORK, id_, routingMode="GLOBAL")
    with world.changing() as data:
        assert Cloud(data).read(KINDS[NETWORK], id_)["routingMode"] == "GLOBAL"
    assert world.tokens == {NETWORK}
    world.delete(NETWORK, id_)
    assert (world.tokens, world.remaining) == (set(), {})
