"""`slipway bundle`."""

from pathlib import Path

import click

from trainer.cli import output
from trainer.cli.command import Command
from trainer.cli.parameters import STORE_VARIABLE, complete_source, json_option, training_options
from trainer.errors import MISSING, BadInput


@click.command(
    cls=Command,
    examples=(
        "slipway bundle run.yaml --out bundle.tar.gz",
        "slipway bundle lost-sales-ppo --out bundle.tar.gz --sign key.pem --wheelhouse",
        "slipway bundle slipway/CartPole-v1 --seeds 5 --store s3://bucket/runs --out bundle.tar.gz",
        "slipway bundle --no-run --out site.tar.gz --gpu",
        "slipway bundle --check bundle.tar.gz --key pub.pem",
    ),
)
@click.argument("runfile", required=False, metavar="[RUNFILE|PRESET|ENV_ID]", shell_complete=complete_source)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="The archive to write, `.tar.gz`.")
@training_options
@click.option("--store", envvar=STORE_VARIABLE, show_envvar=True, metavar="URI", help="Where the node keeps the run.")
@click.option("--run-id", metavar="ID", help="The run's id; left out, it follows from the run file.")
@click.option("--no-run", is_flag=True, help="For machines that take their runs from a site's queue: no run file.")
@click.option("--gpu", is_flag=True, help="For nodes with NVIDIA GPUs.")
@click.option("--wheelhouse", is_flag=True, help="Put all wheels in, for nodes without a package index.")
@click.option("--sign", type=click.Path(path_type=Path), metavar="KEY", help="Sign it: an Ed25519 private key in PEM.")
@click.option("--check", type=click.Path(path_type=Path), metavar="BUNDLE", help="Verify a bundle; write nothing.")
@click.option("--key", type=click.Path(path_type=Path), metavar="KEY", help="With --check: the public key in PEM.")
@json_option
def bundle(
    runfile: str | None,
    out: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    seeds: int,
    store: str | None,
    run_id: str | None,
    no_run: bool,
    gpu: bool,
    wheelhouse: bool,
    sign: Path | None,
    check: Path | None,
    key: Path | None,
    as_json: bool,
) -> None:
    """Pack what a node needs to train: slipway, hashed requirements, the node playbook and the run file.

    The same input gives the same bytes. Beside the archive comes its checksum, and with --sign the signature of that.
    """
    if check is not None:
        if runfile or out or sign:
            raise BadInput("--check", str(check), "--check with --key alone", "check it in a command of its own")
        _check(check, key, as_json)
        return
    if out is None:
        raise BadInput("--out", MISSING, "the archive to write", "write --out bundle.tar.gz")
    if key is not None:
        raise BadInput("--key", str(key), "the public key of --check", "write --sign KEY to sign a bundle")
    from trainer.bundle import build
    from trainer.config import check as checks
    from trainer.config import source

    run_file = None
    if no_run and (runfile or settings or run_id or seed is not None or seeds > 1):
        allowed = "no run at all: neither RUNFILE nor --set, --seed, --seeds, --run-id"
        raise BadInput("--no-run", "a run", allowed, "leave out one or the other")
    if not no_run:
        run_file = source.run_file(runfile, settings, seed, store)
    build.check_out(out)
    if run_file is not None:
        checks.check(run_file)
    written = build.build(run_file, out, run_id=run_id, training_seeds=seeds, key=sign, gpu=gpu, with_wheels=wheelhouse)
    if as_json:
        output.print_json({"files": [str(path) for path in written]})
    for path in () if as_json else written:
        click.echo(f"Wrote {path}")


def _check(path: Path, key: Path | None, as_json: bool) -> None:
    from trainer.bundle import verify

    manifest = verify.verify(path, key)
    if as_json:
        output.print_json(manifest)
        return
    signed = f", signed by the holder of {key}'s private key" if key else "; the signature was not looked at"
    run = "no run" if manifest["run_id"] is None else f"run {manifest['run_id']}"
    click.echo(f"{path} is whole: {run}, slipway {manifest['version']}{signed}")
