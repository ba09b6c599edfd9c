"""The servers start, answer, forget and stop."""

import servers


def test_s3_starts_empty_each_time(tmp_path, monkeypatch):
    import boto3

    for _ in range(2):
        with servers.s3() as address:
            for name, value in servers.s3_environment(address, tmp_path).items():
                monkeypatch.setenv(name, value)
            assert boto3.client("s3").list_buckets()["Buckets"] == []
            servers.make_bucket("s3://runs")
            assert [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]] == ["runs"]


def test_google_cloud_storage_starts_empty_each_time(monkeypatch):
    from google.cloud import storage

    for _ in range(2):
        with servers.gcs() as address:
            for name, value in servers.gcs_environment(address).items():
                monkeypatch.setenv(name, value)
            client = storage.Client()
            assert list(client.list_buckets()) == []
            servers.make_bucket("gs://runs")
            assert [bucket.name for bucket in client.list_buckets()] == ["runs"]
            client.close()
