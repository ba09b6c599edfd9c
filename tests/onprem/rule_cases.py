"""What each rule of a site is given, and when it fires, in the words of promtool's unit tests.

https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
"""

RUN = {"instance": "a:9464", "job": "trainer", "host": "gpu-1", "slot": "0"}
NODE = {"instance": "a:9100", "job": "node", "host": "gpu-1"}
DISK = {**NODE, "mountpoint": "/srv", "device": "/dev/sda1", "fstype": "ext4"}


def series(name, labels, values):
    """A time series for promtool: one value a minute."""
    pairs = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{pairs}}}", "values": values}


def info(runs="1x200", run_id="r1"):
    return series("rl_run_info", {**RUN, "run_id": run_id}, runs)


def disk(available, readonly="0x200", **labels):
    names = {"avail_bytes": available, "size_bytes": "100x200", "readonly": readonly}
    return [series(f"node_filesystem_{name}", {**DISK, **labels}, values) for name, values in names.items()]


def ended(state, values):
    return series("rl_worker_ended_runs_total", {**RUN, "state": state}, values)


def up(labels, values):
    return series("up", labels, values)


OF_RUN = {**RUN, "run_id": "r1"}
MOUNTED = {**NODE, "store": "/srv/slipway"}
MANAGER = {"instance": "m:9093", "job": "alertmanager", "host": "monitor", "integration": "email"}
CERTIFICATE = {**NODE, "file": "host.pem"}
ENDS, FAILURES = "slipway_certificate_expiry_timestamp_seconds", "alertmanager_notifications_failed_total"
SIZE, PLATEAU, BUSY = "node_filesystem_size_bytes", "rl_plateau_ratio", "rl_gpu_busiest_utilization_ratio"
MOUNT = {**MOUNTED, "mountpoint": "/srv/slipway", "device": "nas:/", "fstype": "nfs4"}
# Alert; series; the minutes at which it is quiet; those at which it fires, with its labels but for the severity.
CASES = [
    ("RunFailed", [ended("failed", "0x5 1x60")], [0, 5, 12], {6: {**RUN, "state": "failed"}}),
    ("RunFailed", [ended("bad-input", "3x5 4x60")], [5, 12], {7: {**RUN, "state": "bad-input"}}),
    ("RunFailed", [ended("done", "0x5 1x60"), ended("cancelled", "0x5 1x60")], [5, 6, 8], {}),
    (
        "CheckpointStale",  # the training hangs: its newest row is an old one
        [
            info(),
            series("rl_checkpoint_timestamp_seconds", RUN, "0x40 2460x30"),
            series("rl_checkpoint_age_seconds", RUN, "5x80"),
        ],
        [0, 30, 42],
        {31: OF_RUN},
    ),
    (
        "CheckpointStale",  # there was none yet
        [info(), series("rl_checkpoint_age_seconds", RUN, "0+60x40 0x20")],
        [30, 42],
        {31: OF_RUN},
    ),
    ("ReturnPlateaued", [info(), series(PLATEAU, RUN, "0.4x10 0.6x90 0.1x20")], [10, 60, 68, 103], {72: OF_RUN}),
    ("ReturnPlateaued", [info(), series(PLATEAU, RUN, "0.6x40 0.4 0.6x60")], [62, 100], {}),
    # The next run of the same trainer begins anew.
    (
        "ReturnPlateaued",
        [info("1x40 stale"), info("_x41 1x90", "r2"), series(PLATEAU, RUN, "0.6x150")],
        [62, 90],
        {100: {**RUN, "run_id": "r2"}},
    ),
    ("GpuIdle", [info(), series(BUSY, RUN, "0.5x10 0.01x60 0.9x9")], [10, 38, 73], {42: OF_RUN}),
    ("GpuIdle", [info(), series(BUSY, RUN, "0.5x10 0.01x20 0.9 0.01x28")], [38, 42, 59], {}),
    ("GpuIdle", [info("1x20 stale"), series(BUSY, RUN, "0.01x20 stale")], [20, 42, 60], {}),
    ("HostDown", [up(NODE, "1x10 0x20 1x10")], [10, 15, 32], {16: NODE, 30: NODE}),
    ("HostDown", [up(NODE, "1x10 0x3 1x20"), up(RUN, "0x40")], [12, 20, 30], {}),
    ("TrainerDown", [up(RUN, "1x10 0x20 1x10"), up(NODE, "1x60")], [10, 15, 32], {16: RUN, 30: RUN}),
    ("TrainerDown", [up(RUN, "1x10 0x20"), up(NODE, "1x10 0x20")], [16, 20, 30], {}),
    ("NasMountMissing", [up(MOUNTED, "1x60"), series(SIZE, MOUNT, "9x10 stale")], [10, 15], {16: MOUNTED, 40: MOUNTED}),
    ("NasMountMissing", [up(MOUNTED, "1x60"), series(SIZE, {**MOUNT, "mountpoint": "/"}, "9x60")], [4], {5: MOUNTED}),
    ("NasMountMissing", [up(NODE, "1x60")], [10, 30], {}),
    ("NasMountMissing", [up(MOUNTED, "0x60")], [10, 30], {}),
    ("GpuDriverDown", [series("nvidia_smi_up", NODE, "1x10 0x20 1x9")], [10, 15, 32], {16: NODE, 30: NODE}),
    ("DiskFull", disk("50x10 4x20 6x20"), [10, 15, 32], {16: DISK, 30: DISK}),
    ("DiskFull", disk("4x60", readonly="1x60"), [10, 30], {}),
    ("DiskFull", disk("4x60", fstype="nfs4"), [10, 30], {}),
    ("DiskFilling", disk("35-0.01x120"), [30, 60], {62: DISK, 100: DISK}),
    ("DiskFilling", disk("35-0.001x120"), [62, 100], {}),
    ("DiskFilling", disk("95-0.05x120"), [62, 100], {}),
    ("OutOfMemory", [series("node_vmstat_oom_kill", NODE, "3x10 4x40")], [10, 25], {11: NODE}),
    ("ClockSkew", [series("node_time_seconds", NODE, "5+60x30")], [4], {5: NODE, 20: NODE}),
    ("ClockSkew", [series("node_time_seconds", NODE, "-180+60x30")], [4], {5: NODE}),
    ("ClockSkew", [series("node_time_seconds", NODE, "1+60x30")], [5, 20], {}),
    (
        "CertificateExpiring",
        [series(ENDS, CERTIFICATE, f"{21 * 86400}x90 {397 * 86400}x30")],
        [0, 60, 92],
        {61: CERTIFICATE},
    ),
    ("CertificateExpiring", [series(ENDS, CERTIFICATE, f"{22 * 86400}x90")], [61, 90], {}),
    ("AlertsUndelivered", [series(FAILURES, MANAGER, "0x5 1x60")], [5, 22], {7: MANAGER}),
]
