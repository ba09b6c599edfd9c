"""The three kinds of places, each with a server or a folder of its own."""

import itertools

import pytest
import servers

KINDS = ("nas", "s3", "gs")
_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def s3_server():
    with servers.s3() as address:
        yield address


@pytest.fixture(scope="session")
def gcs_server():
    with servers.gcs() as address:
        yield address


@pytest.fixture
def no_cloud(monkeypatch, tmp_path):
    """Nothing set that leads to a cloud, and no credentials in the home folder."""
    for name in servers.NO_CLOUD:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def s3_cloud(no_cloud, s3_server, monkeypatch, tmp_path):
    """The environment of moto's server."""
    for name, value in servers.s3_environment(s3_server, tmp_path).items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def gcs_cloud(no_cloud, gcs_server, monkeypatch):
    """The environment of fake-gcs-server."""
    for name, value in servers.gcs_environment(gcs_server).items():
        monkeypatch.setenv(name, value)
    return gcs_server


@pytest.fixture
def bucket():
    """A name that no other test has."""
    return f"runs-{next(_NUMBERS)}"


@pytest.fixture(params=KINDS)
def uri(request, tmp_path, bucket):
    """An empty place of each kind."""
    if request.param == "nas":
        (tmp_path / "shared").mkdir()
        return f"nas://{tmp_path}/shared"
    request.getfixturevalue("s3_cloud" if request.param == "s3" else "gcs_cloud")
    servers.make_bucket(f"{request.param}://{bucket}")
    return f"{request.param}://{bucket}/team/lost sales"
