"""A small site on a real account: made, trained on, taken down, looked for afterwards. `make smoke-aws`, `smoke-gcp`.

It costs some cents, and shows what no test without a cloud can: quotas, capacity, images, permissions as the cloud
sees them, boots, and deletions that take their time. The stack's state is in ~/.cache/slipway-smoke, so what a failure
leaves behind is removed by the next attempt, or by `slipway cloud destroy` there.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "slipway-smoke"
STACK = "smoke"
TRAIN_SECONDS, LOOK_SECONDS = 2400, 20
CONFIG = {
    "aws": {"cloud": "aws", "region": "us-east-1", "machines": "c7i.large"},
    "gcp": {"cloud": "gcp", "region": "us-central1", "machines": "e2-standard-2"},
}
RUN = """\
name: smoke
env: slipway/CartPole-v1
agent: {algorithm: ppo, num_envs: 8, rollout_steps: 32, minibatch_size: 256}
budget: {env_steps: 50_000}
evaluation: {seeds: 2, episodes_per_seed: 2}
"""


def main() -> int:
    """Go through it; the exit code is 0 if all went well, and nothing is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cloud", choices=CONFIG)
    parser.add_argument("--region", help="in place of the usual one")
    parser.add_argument("--project", help="Google Cloud's", default=os.environ.get("GOOGLE_CLOUD_PROJECT"))
    parser.add_argument("--machines", help="a machine type, such as one with a GPU")
    given = parser.parse_args()
    config = {**CONFIG[given.cloud], "run": "run.yaml", "diskGib": "50"}
    if given.cloud == "gcp":
        if not given.project:
            parser.error("name the project: --project, or GOOGLE_CLOUD_PROJECT")
        config["project"] = given.project
    config |= {name: value for name in ("region", "machines") if (value := getattr(given, name))}
    operator = Operator(FOLDER / given.cloud)
    operator.make_stack(config)
    try:
        operator.run("slipway", "cloud", "up", "--stack", STACK, "--yes")
        outputs = operator.wait()
        for run_id in outputs["runs"]:
            operator.run("slipway", "runs", "verify", f"{outputs['store']}/{run_id}")
    finally:
        operator.run("slipway", "cloud", "destroy", "--stack", STACK, "--confirm", STACK, "--discard-results")
    left = LEFT[given.cloud](config)
    for each in left:
        print(f"left: {each}")
    print("nothing is left but what is declared" if not left else f"{len(left)} resources are left")
    return 1 if left else 0


class Operator:
    """Somebody with a folder of the project.

    Args:
        folder: for the stack's configuration and state.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "state").mkdir(parents=True, exist_ok=True)
        for name in ("Pulumi.yaml", "infra"):
            if not (folder / name).exists():
                (folder / name).symlink_to(ROOT / name)
        (folder / "run.yaml").write_text(RUN)
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": os.environ.get("PULUMI_CONFIG_PASSPHRASE", "smoke"),
        }

    def run(self, *command: str) -> None:
        """Run a command, shown."""
        print(f"$ {' '.join(command)}", flush=True)
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True)

    def json(self, *command: str) -> Any:
        """What a command says."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return json.loads(done.stdout)

    def make_stack(self, config: dict[str, str]) -> None:
        """A stack with this configuration, or the one that is there."""
        if shutil.which("pulumi") is None:
            sys.exit("smoke: install Pulumi first: https://www.pulumi.com/docs/iac/download-install/")
        known = [each["name"] for each in self.json("pulumi", "stack", "ls", "--json")]
        if STACK not in known:
            self.run("pulumi", "stack", "init", STACK, "--no-select")
        for key, value in config.items():
            self.run("pulumi", "config", "set", "--stack", STACK, f"slipway:{key}", value)

    def wait(self) -> dict[str, Any]:
        """Wait until all runs are finished and their machines gone; the stack's outputs."""
        end = time.monotonic() + TRAIN_SECONDS
        while time.monotonic() < end:
            status = self.json("slipway", "cloud", "status", "--stack", STACK, "--json")
            states = {group["run_id"]: (group["run"] or {}).get("state", "not begun") for group in status["runs"]}
            machines = sum(len(group["nodes"]) for group in status["runs"])
            print(
                f"{', '.join(f'{run_id}: {state}' for run_id, state in states.items())}; {machines} machines",
                flush=True,
            )
            if set(states.values()) == {"finished"} and not machines:
                outputs: dict[str, Any] = status["outputs"]
                return outputs
            if "failed" in states.values():
                break
            time.sleep(LOOK_SECONDS)
        self.run("slipway", "cloud", "logs", "--stack", STACK, "--since", "1h")
        sys.exit("smoke: the runs are not finished, or their machines do not go")


def left_in_aws(config: dict[str, str]) -> list[str]:
    """What has the site's tag, but for keys, which wait to be deleted."""
    import boto3

    client = boto3.client("resourcegroupstaggingapi", region_name=config["region"])
    pages = client.get_paginator("get_resources").paginate(TagFilters=[{"Key": "slipway-stack", "Values": [STACK]}])
    found = [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]
    keys = boto3.client("kms", region_name=config["region"])

    def waits(arn: str) -> bool:
        return ":kms:" in arn and keys.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "PendingDeletion"

    # Terminated instances can be seen for an hour.
    return [arn for arn in found if not waits(arn) and ":instance/" not in arn]


def left_in_google_cloud(config: dict[str, str]) -> list[str]:
    """What has the site's label, of the kinds that are billed."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession
    from google.cloud import storage

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    found = [
        f"bucket {each.name}"
        for each in storage.Client(project=config["project"]).list_buckets()
        if each.labels.get("slipway-stack") == STACK
    ]
    with AuthorizedSession(credentials) as session:
        for kind in ("instances", "disks", "addresses"):
            url = f"https://compute.googleapis.com/compute/v1/projects/{config['project']}/aggregated/{kind}"
            answer = session.get(url, params={"filter": f"labels.slipway-stack={STACK}"}, timeout=60)
            answer.raise_for_status()
            for place in answer.json().get("items", {}).values():
                found += [f"{kind} {each['name']}" for each in place.get(kind, [])]
    return found


LEFT = {"aws": left_in_aws, "gcp": left_in_google_cloud}

if __name__ == "__main__":
    raise SystemExit(main())
