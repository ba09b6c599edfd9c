"""The plugin's process: it tells its port, serves the engine, and ends with it."""

import os
import time
from concurrent import futures
from pathlib import Path

import grpc
from pulumi.runtime.proto.provider_pb2_grpc import add_ResourceProviderServicer_to_server

from aws_provider.provider import Plugin

WORKERS = 32
LOOK_SECONDS = 0.5


def main() -> None:
    """Serve until the engine has gone."""
    engine = os.getppid()
    plugin = Plugin(
        Path(os.environ["AWS_PROVIDER_EXECUTABLE"]),
        os.environ["AWS_PROVIDER_ENDPOINT"],
        Path(os.environ["AWS_PROVIDER_FOLDER"]),
    )
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(WORKERS), options=unlimited)
    add_ResourceProviderServicer_to_server(plugin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    try:
        while os.getppid() == engine:  # one that was killed does not say so
            time.sleep(LOOK_SECONDS)
    finally:
        plugin.close()
        os._exit(0)  # threads may still wait for a call of Terraform's


main()
