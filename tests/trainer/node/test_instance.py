"""What a bare machine runs at its first boot: alone in a bare interpreter, with its identity and nothing else."""

import contextlib
import json
import subprocess
import urllib.request

import boto3
import pytest

from trainer.node import user_data

PROGRAM = user_data.HERE / "instance.py"
DATA = bytes(range(256)) * 1000


def fetch(uri, path):
    return run("fetch", uri, path)


def run(*arguments):
    """The program by the system's own Python, without anything installed."""
    return subprocess.run(["python3.11", "-I", "-S", PROGRAM, *arguments], capture_output=True, text=True)


@pytest.fixture
def bucket(aws, ec2, no_credentials, monkeypatch):
    """A bucket with the object `a b/bundle.tar.gz`; moto checks signatures and the role's rights as AWS does."""
    made = {
        "endpoint_url": aws,
        "region_name": "eu-west-1",
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }
    s3, iam, sts = (boto3.client(name, **made) for name in ("s3", "iam", "sts"))
    s3.create_bucket(Bucket="a.bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="a.bucket", Key="a b/bundle.tar.gz", Body=DATA)
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}],
    }
    role = iam.create_role(RoleName="node", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    read = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a.bucket/*"}],
    }
    allowed = ["logs:CreateLogStream", "logs:PutLogEvents", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    read["Statement"] += [{"Effect": "Allow", "Action": allowed, "Resource": "*"}]
    iam.put_role_policy(RoleName="node", PolicyName="read", PolicyDocument=json.dumps(read))
    boto3.client("logs", **made).create_log_group(logGroupName="/slipway/nodes")
    keys = sts.assume_role(RoleArn=role, RoleSessionName="boot")["Credentials"]
    said = {
        "AccessKeyId": keys["AccessKeyId"],
        "SecretAccessKey": keys["SecretAccessKey"],
        "Token": keys["SessionToken"],
    }
    ec2 |= {"iam/security-credentials/": "node", "iam/security-credentials/node": json.dumps(said)}
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", aws)
    monkeypatch.setenv("AWS_ENDPOINT_URL_AUTO_SCALING", aws)
    check_rights(aws, after=b"0")
    return ec2


def check_rights(aws, after):
    """Moto checks signatures and rights after so many more calls."""
    headers = {"Content-Type": "application/octet-stream"}
    urllib.request.urlopen(urllib.request.Request(f"{aws}/moto-api/reset-auth", after, headers, method="POST")).close()


@contextlib.contextmanager
def unchecked(aws):
    """Meanwhile whoever runs the tests may do everything."""
    check_rights(aws, after=b"inf")
    yield
    check_rights(aws, after=b"0")


def test_an_object_of_s3_comes_with_the_instance_role(bucket, tmp_path):
    done = fetch("s3://a.bucket/a b/bundle.tar.gz", tmp_path / "got")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "got").read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["got"]


def test_a_wrong_secret_is_refused_and_leaves_no_file(bucket, tmp_path):
    said = json.loads(bucket["iam/security-credentials/node"])
    bucket["iam/security-credentials/node"] = json.dumps({**said, "SecretAccessKey": "another"})
    done = fetch("s3://a.bucket/a b/bundle.tar.gz", tmp_path / "got")
    assert done.returncode == 1
    assert done.stderr == "cannot fetch s3://a.bucket/a b/bundle.tar.gz: HTTPError: HTTP Error 403: FORBIDDEN\n"
    assert list(tmp_path.iterdir()) == []


def test_an_instance_without_a_role_is_told(ec2, tmp_path):
    done = fetch("s3://bucket/bundle.tar.gz", tmp_path / "got")
    assert done.returncode == 1
    assert done.stderr.startswith("cannot fetch s3://bucket/bundle.tar.gz: HTTPError: HTTP Error 404")


@pytest.fixture
def storage(gce, service, monkeypatch):
    """Cloud Storage with one object; the answers still to come can be set before it."""
    failures = []

    def answer(method, path, headers):
        if failures:
            return failures.pop(), b""
        if headers.get("Authorization") != "Bearer the-token":
            return 401, b""
        return (200, DATA) if path == "/storage/v1/b/bucket/o/runs%2Fa%20b.tar.gz?alt=media" else (404, b"")

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", service(answer).url)
    return failures


def test_an_object_of_cloud_storage_comes_with_the_service_account(storage, tmp_path):
    done = fetch("gs://bucket/runs/a b.tar.gz", tmp_path / "got")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "got").read_bytes() == DATA


def test_a_fault_of_the_server_is_tried_again(storage, tmp_path):
    storage += [503]
    assert fetch("gs://bucket/runs/a b.tar.gz", tmp_path / "got").returncode == 0


def test_what_is_not_there_is_said_at_once(storage, tmp_path):
    done = fetch("gs://bucket/none.tar.gz", tmp_path / "got")
    assert (done.returncode, done.stderr) == (
        1,
        "cannot fetch gs://bucket/none.tar.gz: HTTPError: HTTP Error 404: Not Found\n",
    )


@pytest.mark.parametrize("uri", ["https://bucket/key", "s3://bucket", "bundle.tar.gz"])
def test_other_addresses_are_refused(uri, tmp_path):
    done = fetch(uri, tmp_path / "got")
    assert (done.returncode, done.stderr) == (
        1,
        f"cannot fetch {uri}: ValueError: {uri} is no s3://bucket/key or gs://bucket/key\n",
    )


@pytest.fixture
def said(tmp_path):
    path = tmp_path / "first-boot.log"
    path.write_text("x" * 5000 + "\nthe last words\n")
    return path


def test_a_report_is_in_the_log_group_by_the_instance_role(aws, bucket, said):
    for message in ("one", "two"):  # the stream is there at the second
        done = run("report", "s3", "/slipway/nodes", message, said)
        assert (done.returncode, done.stderr) == (0, "")
    check_rights(aws, after=b"inf")
    logs = boto3.client(
        "logs", endpoint_url=aws, region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    found = logs.get_log_events(logGroupName="/slipway/nodes", logStreamName="first-boot/i-0123456789abcdef0")
    lines = [json.loads(event["message"]) for event in found["events"]]
    assert [line["message"] for line in lines] == ["one", "two"]
    assert {(line["machine"], line["severity"]) for line in lines} == {("i-0123456789abcdef0", "ERROR")}
    assert lines[0]["said"].endswith("\nthe last words\n")
    assert len(lines[0]["said"]) == 4000


def test_a_report_to_a_group_that_is_not_there_is_told(bucket, said):
    done = run("report", "s3", "/slipway/others", "one", said)
    assert done.returncode == 1
    assert done.stderr.startswith("cannot report to /slipway/others: HTTPError: HTTP Error 4")


def test_a_report_is_in_cloud_logging_by_the_service_account(service, said, monkeypatch):
    values = {
        "project/project-id": "project",
        "instance/id": "812",
        "instance/zone": "projects/42/zones/europe-west1-b",
        "instance/service-accounts/default/token": json.dumps({"access_token": "the-token"}),
    }

    def metadata(method, path, headers):
        value = values.get(path.removeprefix("/computeMetadata/v1/"))
        known = headers.get("Metadata-Flavor") == "Google" and value is not None
        return (200, value.encode()) if known else (404, b"")

    logging = service(lambda method, path, headers: (200, b"{}"))
    monkeypatch.setenv("GCE_METADATA_HOST", service(metadata).host)
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING", f"{logging.url}/")
    done = run("report", "gs", "slipway/nodes", "one", said)
    assert (done.returncode, done.stderr) == (0, "")
    [(method, path, headers, body)] = logging.requests
    assert (method, path, headers["Authorization"]) == ("POST", "/v2/entries:write", "Bearer the-token")
    found = json.loads(body)
    assert found["logName"] == "projects/project/logs/slipway%2Fnodes"
    assert found["resource"]["labels"] == {"project_id": "project", "instance_id": "812", "zone": "europe-west1-b"}
    [entry] = found["entries"]
    assert entry["severity"] == "ERROR"
    assert (entry["jsonPayload"]["machine"], entry["jsonPayload"]["message"]) == ("812", "one")
    assert entry["jsonPayload"]["said"].endswith("the last words\n")


def test_an_instance_leaves_its_auto_scaling_group_by_its_role_and_is_not_replaced(aws, group, bucket):
    with unchecked(aws):
        mine, other = (instance["InstanceId"] for instance in group()["Instances"])
    bucket["instance-id"] = mine
    done = run("leave", "s3")
    assert (done.returncode, done.stderr) == (0, f"{mine} leaves its Auto Scaling group\n")
    with unchecked(aws):
        assert group()["DesiredCapacity"] == 1
        assert [instance["InstanceId"] for instance in group()["Instances"]] == [other]


def test_a_role_that_may_not_leave_the_group_says_so(aws, group, bucket):
    with unchecked(aws):
        bucket["instance-id"] = group()["Instances"][0]["InstanceId"]
        iam = boto3.client(
            "iam", endpoint_url=aws, region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        iam.delete_role_policy(RoleName="node", PolicyName="read")
    done = run("leave", "s3")
    assert (done.returncode, done.stderr) == (1, "cannot leave the group: HTTPError: HTTP Error 403: FORBIDDEN\n")
    with unchecked(aws):
        assert group()["DesiredCapacity"] == 2


@pytest.fixture
def compute(gce, service, monkeypatch):
    """Compute Engine's API; the answers still to come can be set before it."""
    failures = []

    def answer(method, path, headers):
        if failures:
            return failures.pop(), b"{}"
        return (401 if headers.get("Authorization") != "Bearer the-token" else 200), b'{"kind": "compute#operation"}'

    api = service(answer)
    api.failures = failures
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", f"{api.url}/compute/v1/")
    return api


@pytest.mark.parametrize("place", ["zones/europe-west1-b", "regions/europe-west1"])
def test_an_instance_is_deleted_from_its_managed_instance_group_though_the_server_fails_once(place, gce, compute):
    gce["attributes/created-by"] = f"projects/42/{place}/instanceGroupManagers/trainers"
    compute.failures.append(503)
    done = run("leave", "gs")
    assert (done.returncode, done.stderr) == (0, "trainers-x7k2 leaves its managed instance group\n")
    first, second = compute.requests
    assert first == second
    method, path, headers, body = second
    # https://cloud.google.com/compute/docs/reference/rest/v1/instanceGroupManagers/deleteInstances
    assert (method, path) == (
        "POST",
        f"/compute/v1/projects/42/{place}/instanceGroupManagers/trainers/deleteInstances",
    )
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"instances": ["zones/europe-west1-b/instances/trainers-x7k2"]}


def test_what_compute_engine_refuses_is_said_at_once(gce, compute):
    compute.failures.append(403)
    done = run("leave", "gs")
    assert (done.returncode, done.stderr) == (1, "cannot leave the group: HTTPError: HTTP Error 403: Forbidden\n")
    del gce["attributes/created-by"]  # a machine of its own
    done = run("leave", "gs")
    assert (done.returncode, done.stderr) == (1, "cannot leave the group: HTTPError: HTTP Error 404: Not Found\n")
    assert len(compute.requests) == 1


@pytest.mark.parametrize("given", [["go", "gs"], ["leave"], ["leave", "https"]])
def test_what_it_is_not_asked_for_it_does_not_do(given, gce, compute):
    assert run(*given).returncode == 1
    assert compute.requests == []
