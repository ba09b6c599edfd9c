"""What people write becomes a place, or one clear error."""

import pytest

from trainer.errors import BadInput
from trainer.store.objects.folder import FolderObjects
from trainer.store.objects.places import place


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("s3://my-runs", "s3://my-runs"),
        ("s3://my.runs/team/a/", "s3://my.runs/team/a"),
        ("S3://my-runs/", "S3://my-runs"),
        ("s3://my-runs/With Spaces/%41+é", "s3://my-runs/With Spaces/%41+é"),
    ],
)
def test_buckets_of_s3(s3_cloud, uri, kept):
    from trainer.store.objects.s3 import S3Objects

    objects = place(uri)
    assert isinstance(objects, S3Objects)
    assert objects.uri == kept


@pytest.mark.parametrize("uri", ["gs://my_runs", "gs://my.runs.example.org/team/a"])
def test_buckets_of_google(gcs_cloud, uri):
    from trainer.store.objects.gcs import GcsObjects

    objects = place(uri)
    assert isinstance(objects, GcsObjects)
    assert objects.uri == uri


def test_folders():
    objects = place("nas:///srv/runs/")
    assert isinstance(objects, FolderObjects)
    assert (objects.uri, str(objects.root)) == ("nas:///srv/runs", "/srv/runs")


@pytest.mark.parametrize(
    ("uri", "fix"),
    [
        ("s4://runs/a", "write s3://runs/a"),
        ("s3a://runs/a", "write s3://runs/a"),
        ("s3:/runs/a", "write s3://runs/a"),
        ("gcs://runs/a", "write gs://runs/a"),
        ("ngs://runs", "write gs://runs"),
        ("nfs:///srv/runs", "write nas:///srv/runs"),
        ("nas:/srv/runs", "write nas:///srv/runs"),
        ("nass://srv/runs", "write nas:///srv/runs"),
        ("hdfs://runs", "begin with s3://, gs:// or nas://"),
        ("azure://runs", "begin with s3://, gs:// or nas://"),
        ("runs", "begin with s3://, gs:// or nas://"),
        ("", "begin with s3://, gs:// or nas://"),
        ("://", "begin with s3://, gs:// or nas://"),
        ("s3://", "name the bucket: s3://BUCKET/PREFIX"),
        ("s3:///team", "name the bucket: s3://BUCKET/PREFIX"),
        ("gs://", "name the bucket: gs://BUCKET/PREFIX"),
        ("s3://My-Runs", "mend the bucket's name"),
        ("s3://my_runs", "mend the bucket's name"),
        ("s3://ab", "mend the bucket's name"),
        ("s3://a..b", "mend the bucket's name"),
        ("s3://-abc", "mend the bucket's name"),
        ("s3://127.0.0.1", "mend the bucket's name"),
        ("s3://runs:9000/a", "mend the bucket's name"),
        (f"s3://{'a' * 64}", "mend the bucket's name"),
        ("s3://runs--eun1-az1--x-s3", "name another"),
        ("gs://Runs", "mend the bucket's name"),
        ("gs://10.0.0.1", "mend the bucket's name"),
        ("s3://runs/../other", "write the path in full, with single slashes"),
        ("s3://runs/a/./b", "write the path in full, with single slashes"),
        ("s3://runs//a", "write the path in full, with single slashes"),
        ("gs://runs/a/..", "write the path in full, with single slashes"),
        ("nas:///srv/../etc", "write the path in full, with single slashes"),
        ("s3://runs/a?versionId=1", "leave out the '?' and what comes after it"),
        ("s3://runs?x", "leave out the '?' and what comes after it"),
        ("gs://runs/a#b", "leave out the '#' and what comes after it"),
        ("nas:///srv/ru\nns", "leave out the '\\n' and what comes after it"),
        ("nas:///srv/\0", "leave out the '\\x00' and what comes after it"),
        ("nas://server/runs", "mount it, and write its folder here with three slashes: nas:///server/runs"),
        ("nas://", "mount it, and write its folder here with three slashes: nas:///srv/runs"),
        ("nas:///", "mount it, and write its folder here with three slashes: nas:///srv/runs"),
    ],
)
def test_what_names_no_place(no_cloud, uri, fix):
    with pytest.raises(BadInput) as caught:
        place(uri)
    assert (caught.value.field, caught.value.cure) == ("store", fix)


@pytest.mark.parametrize("uri", ["s3://AKIA123:hush@runs/a", "s4://hush@runs/a", "nas://me:hush@server/runs"])
def test_credentials_in_a_uri_are_refused_and_not_shown(no_cloud, uri):
    with pytest.raises(BadInput) as caught:
        place(uri)
    assert "hush" not in str(caught.value)
    assert "***@" in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("s3://runs", "my key"),
        ("s3://runs", "projects/p/locations/l/keyRings/r/cryptoKeys/k"),
        ("gs://runs", "alias/runs"),
        ("gs://runs", "projects/p/cryptoKeys/k"),
        ("nas:///srv/runs", "alias/runs"),
    ],
)
def test_encryption_keys_of_another_kind(no_cloud, uri, key):
    with pytest.raises(BadInput) as caught:
        place(uri, encryption_key=key)
    assert (caught.value.field, caught.value.value) == ("encryption_key", key)
