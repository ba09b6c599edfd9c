"""Dashboards: every expression against a real Prometheus that collects real trainings, the files by the SDK's types."""

import contextlib
import importlib
import itertools
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from processes import train
from prometheus_server import Prometheus, free_port, node_exporter
from service import Service

from infra.onprem.dashboards import PAGES, reading, render
from infra.onprem.dashboards.__main__ import FOLDER, write
from infra.onprem.dashboards.elements import COLUMNS
from infra.onprem.dashboards.training import REFERENCES, SOME
from infra.onprem.preview import asking
from infra.onprem.preview.__main__ import main
from infra.onprem.preview.drawing import draw
from infra.onprem.preview.numbers import written
from trainer.errors import BadInput
from trainer.metrics.catalogue import BY_NAME, METRICS, Group

pytestmark = pytest.mark.timeout(900)

METRICS_TEXTS = Path(__file__).parent / "metrics"
"""What exporters would say that cannot be had here; each file tells whether it was recorded or written by hand."""
ENDLESS = {
    "budget.env_steps": 10**9,
    "budget.price_usd_per_hour": 0.5,
    "checkpoint.interval_seconds": 2,
    "evaluation.interval_iterations": 40,
    "evaluation.seeds": 2,
    "evaluation.episodes_per_seed": 1,
    "sinks.tensorboard": False,
    "sinks.prometheus.enabled": True,
}
"""Of a training that goes on until it is stopped."""
HOSTS = {"h100": "gpu-2", "queue": "gpu-3", "sac": "gpu-3", "driver_fails": "gpu-3"}
"""Where each of these texts would come from."""
NO_SERIES = {
    "rl_sink_dropped_records_total": "only a sink that loses rows has it, and none does here",
    "rl_label_return_mean": "self-labelling alone has it, and takes too long to compile for this",
}
"""Metrics that need not be there, each with the reason; the rest of their expressions must."""
NAME = re.compile(r"\b(?:rl|node|slipway|nvidia_smi)_[A-Za-z0-9_]+|\bup\b|\bALERTS\b")
SELECTOR, LABEL = re.compile(r"(\w+)\{([^}]*)\}"), re.compile(r"(\w+)\s*[!=]~?\"?")

plugins.register_default_plugins()


def text_of(name):
    return json.loads(render(name))


DASHBOARDS = {name: text_of(name) for name in PAGES}
EXPRESSIONS = [
    pytest.param(name, target["expr"], target["instant"], id=f"{name}-{panel['id']}-{target['refId']}")
    for name, made in DASHBOARDS.items()
    for panel in reading.panels(made)
    for target in panel.get("targets", ())
]


def boxes(panels):
    """The squares of the grid that each panel covers."""
    for panel in panels:
        place = panel["gridPos"]
        across = range(place["x"], place["x"] + place["w"])
        down = range(place["y"], place["y"] + place["h"])
        yield panel["title"], set(itertools.product(across, down))


def everything(made):
    """Panels and headings."""
    return [each for panel in made["panels"] for each in (panel, *panel.get("panels", ()))]


# The files ------------------------------------------------------------------------------------------------------------


def test_the_role_has_them_as_they_are_made_now():
    found = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert found == {f"{name}.json": render(name) for name in PAGES}, "make docs"


def test_the_command_writes_them_and_no_others(tmp_path):
    (tmp_path / "old.json").write_text("{}")
    subprocess.run([sys.executable, "-m", "infra.onprem.dashboards", tmp_path], check=True)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(PAGES)
    write(tmp_path)
    assert json.loads((tmp_path / "site.json").read_text()) == DASHBOARDS["site"]


@pytest.mark.parametrize("name", PAGES)
def test_the_sdk_reads_a_dashboard_and_writes_the_same(name):
    """Its types are generated from Grafana's own schemas: what they do not know would be lost."""
    made = DASHBOARDS[name]
    read = Dashboard.from_json(made)
    assert json.loads(JSONEncoder().encode(read)) == made
    for panel in everything(made):
        if panel["type"] in ("row", "text"):
            continue
        module = importlib.import_module(f"grafana_foundation_sdk.models.{panel['type'].replace('-', '')}")
        hooks = module.variant_config()
        assert json.loads(JSONEncoder().encode(hooks.options_from_json_hook(panel["options"]))) == panel["options"]


@pytest.mark.parametrize("name", PAGES)
def test_panels_have_numbers_and_places_of_their_own(name):
    made = DASHBOARDS[name]
    assert made["uid"] == f"slipway-{name}"
    assert 8 <= len(made["uid"]) <= 40
    numbers = [panel["id"] for panel in everything(made)]
    assert len(set(numbers)) == len(numbers)
    for panels in (made["panels"], *(panel["panels"] for panel in made["panels"] if panel["type"] == "row")):
        for (one, here), (other, there) in itertools.combinations(boxes(panels), 2):
            assert not here & there, f"{one} lies over {other}"
        assert all(0 <= column < COLUMNS for _, taken in boxes(panels) for column, _ in taken)


@pytest.mark.parametrize("name", PAGES)
def test_panels_say_what_they_show(name):
    for panel in reading.panels(DASHBOARDS[name]):
        if panel["type"] == "text":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "slipway-prometheus"}
        assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("name", PAGES)
def test_variables_that_are_used_are_there_and_the_other_way_round(name):
    made = DASHBOARDS[name]
    queries = [target["expr"] for panel in reading.panels(made) for target in panel.get("targets", ())]
    queries += [each["definition"] for each in made["templating"]["list"]]
    used = {match[1] or match[2] for query in queries for match in reading.VARIABLE.finditer(query)}
    assert used - {"__rate_interval"} == {each["name"] for each in made["templating"]["list"]}


def test_every_metric_of_the_catalogue_is_drawn_with_its_help_and_unit():
    drawn = {}
    for made in DASHBOARDS.values():
        for panel in reading.panels(made):
            for target in panel.get("targets", ()):
                for name in NAME.findall(target["expr"]):
                    drawn.setdefault(name, []).append(panel)
    companions = {name for others in REFERENCES.values() for name, _ in others} | {"rl_checkpoint_timestamp_seconds"}
    for metric in METRICS:
        assert metric.name in drawn, metric.name
        if metric.name not in companions:
            assert any(panel["description"].startswith(metric.help) for panel in drawn[metric.name]), metric.name
    units = {
        panel["title"]: panel["fieldConfig"]["defaults"]["unit"]
        for made in DASHBOARDS.values()
        for panel in reading.panels(made)
        if panel["type"] == "timeseries"
    }
    assert units["rl_optimality_gap_ratio"] == "percentunit"
    assert units["rl_checkpoint_age_seconds"] == "s"
    assert units["rl_gpu_memory_used_bytes"] == "bytes"
    assert units["rl_gpu_power_watts"] == "watt"
    assert units["rl_cost_usd_total"] == "currencyUSD"


def test_lines_are_where_alerts_begin():
    lines = {
        panel["title"]: (panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["description"])
        for made in DASHBOARDS.values()
        for panel in reading.panels(made)
        if panel["type"] == "timeseries" and len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1
    }
    steps, description = lines["rl_checkpoint_age_seconds"]
    assert [step["value"] for step in steps] == [None, 1800]
    assert [step["color"] for step in steps] == ["green", "red"]
    assert "CheckpointStale" in description
    steps, _ = lines["rl_gpu_busiest_utilization_ratio"]
    assert [(step["value"], step["color"]) for step in steps] == [(None, "red"), (0.05, "green")]


def test_only_metrics_of_learning_are_called_those_of_some_algorithms():
    assert {BY_NAME[name].group for name in SOME} == {Group.LEARNING}


# A real Prometheus ----------------------------------------------------------------------------------------------------


def played(text, seconds):
    """What an exporter says at a time; what was recorded over a time is played again and again."""
    _, *moments = re.split(r"^# Second (\d+)\n", text, flags=re.MULTILINE)
    if not moments:
        return text.replace("NOW", f"{time.time():.0f}")
    starts, texts = [int(start) for start in moments[::2]], moments[1::2]
    at = seconds % (starts[-1] + starts[1])
    return next(each for start, each in reversed(list(zip(starts, texts, strict=True))) if start <= at)


class Site:
    """A Prometheus, what it collects, and when that began."""

    def __init__(self, prometheus, began):
        self.prometheus, self.began = prometheus, began
        self.names = set(prometheus.get("label/__name__/values"))

    def values(self, made):
        return {**reading.variables(made), "__rate_interval": "10s"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two trainings, this machine's node exporter, and what cannot be had here as text."""
    folder = tmp_path_factory.mktemp("dashboards")
    began = time.time()

    def served_text(method, path, headers):
        text = METRICS_TEXTS / path.removeprefix("/")
        return 200, played(text.read_text(), time.time() - began).encode()

    with contextlib.ExitStack() as stack:
        trainings, ports = [], [free_port() for _ in range(2)]
        for preset, port in zip(("cartpole-ppo", "cartpole-dqn"), ports, strict=True):
            settings = {**ENDLESS, "sinks.prometheus.port": port}
            trainings.append(train(folder, preset, settings, preset=preset))
            stack.callback(trainings[-1].communicate)
            stack.callback(trainings[-1].kill)
        texts = folder / "textfile"
        texts.mkdir()
        ends = f"slipway_certificate_expiry_timestamp_seconds {began + 90 * 86400}\n"
        (texts / "certificate.prom").write_text(ends)
        # Disks of hosts that other tests run are none of this one's.
        options = [f"--collector.textfile.directory={texts}"]
        options += ["--collector.filesystem.mount-points-exclude=^/(dev|proc|run|sys|tmp|var/tmp)($|/)"]
        node = stack.enter_context(node_exporter(folder, *options))
        service = Service(served_text)
        stack.callback(service.close)
        rules = folder / "rules.yml"
        rule = {"alert": "HostDown", "expr": 'up{job="node"} == 0', "labels": {"severity": "critical"}}
        rules.write_text(json.dumps({"groups": [{"name": "site", "rules": [rule]}]}))
        slots = [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"host": "gpu-1", "slot": str(slot)}}
            for slot, port in enumerate(ports)
        ]
        nodes = [
            {"targets": [node], "labels": {"host": "gpu-1"}},
            {"targets": ["127.0.0.1:1"], "labels": {"host": "nas-1"}},
        ]
        jobs = [{"job_name": "trainer", "static_configs": slots}, {"job_name": "node", "static_configs": nodes}]
        served = sorted(path for kind in ("node", "trainer") for path in METRICS_TEXTS.glob(f"{kind}/*.prom"))
        for number, path in enumerate(served):
            # Two paths of one server are two targets, as two slots are.
            kind, host = path.parent.name, HOSTS[path.stem]
            names = {"instance": f"{host}:{9464 + number}", "job": kind, "host": host}
            if kind == "trainer":
                names["slot"] = str(number)
            relabel = [{"target_label": label, "replacement": value} for label, value in names.items()]
            where = f"/{path.relative_to(METRICS_TEXTS)}"
            job = {
                "job_name": f"{kind}-{path.stem}",
                "metrics_path": where,
                "static_configs": [{"targets": [service.host]}],
            }
            jobs.append({**job, "relabel_configs": relabel})
        prometheus = stack.enter_context(Prometheus(folder, jobs, rules=[rules]))
        for training in trainings:
            assert training.poll() is None, training.communicate()[0]
        prometheus.wait('count(count_over_time(rl_plateau_ratio{instance!~"gpu.*"}[5m]) > 3) == 2', seconds=400)
        prometheus.wait("count(count_over_time(rl_eval_score_mean[5m]) > 1) >= 2", seconds=200)
        prometheus.wait('ALERTS{alertstate="firing"}')
        yield Site(prometheus, began)


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize(("name", "expression", "instant"), EXPRESSIONS)
def test_an_expression_has_series(site, name, expression, instant):
    metrics = set(NAME.findall(expression))
    assert metrics, expression
    missing = metrics - site.names
    assert missing <= set(NO_SERIES), f"{missing} is collected nowhere: {expression}"
    if missing and " or " not in expression:
        pytest.skip(NO_SERIES[missing.pop()])
    for metric, labels in SELECTOR.findall(expression):
        for label in LABEL.findall(labels) if metric not in missing else ():
            assert site.prometheus.query(f'{metric}{{{label}!=""}}'), f"no {label} has {metric}: {expression}"
    whole = reading.substituted(expression, site.values(DASHBOARDS[name]))
    # What stands in for nothing must not be all that there is.
    asked = [whole, whole.removesuffix(" or vector(0)")]
    for each in asked:
        found = site.prometheus.query(each)
        assert found, f"no series: {each}"
        assert any(series["value"][1] != "NaN" for series in found), each
    if not instant:
        end = time.time()
        assert site.prometheus.get("query_range", query=whole, start=site.began, end=end, step=1)["result"]


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_variables_have_values(site, name):
    made = DASHBOARDS[name]
    for variable in made["templating"]["list"]:
        series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
        matching = reading.substituted(series, site.values(made))
        assert site.prometheus.get(f"label/{label}/values", **{"match[]": matching}), variable["definition"]


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_choice_of_run_and_host_leaves_out_all_others(site, name):
    made = DASHBOARDS[name]
    wrong = {**site.values(made), "host": "no-such-host"}
    for panel in reading.panels(made):
        for target in panel.get("targets", ()):
            if "$host" in target["expr"]:
                expression = reading.substituted(target["expr"], wrong).removesuffix(" or vector(0)")
                assert not site.prometheus.query(expression), panel["title"]


@pytest.mark.deep
@pytest.mark.slow
def test_a_metric_of_a_run_has_its_id(site):
    panel = next(each for each in reading.panels(DASHBOARDS["training"]) if each["title"].startswith("rl_score"))
    target = panel["targets"][0]
    values = {**site.values(DASHBOARDS["training"]), "run": "cartpole-ppo"}
    (series,) = site.prometheus.query(reading.substituted(target["expr"], values))
    assert reading.legend(target["legendFormat"], series["metric"]) == "cartpole-ppo"


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_picture_has_no_empty_panel(site, name):
    figure = draw(DASHBOARDS[name], asking.Prometheus(f"http://{site.prometheus.address}"), site.began, time.time())
    texts = [text.get_text() for text in (*figure.texts, *(text for axes in figure.axes for text in axes.texts))]
    titles = [panel["title"] for panel in DASHBOARDS[name]["panels"]]
    assert set(titles) <= {text.removesuffix("  (closed at first)") for text in texts}
    assert "No data" not in texts
    open_graphs = [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] in ("timeseries", "state-timeline")]
    assert len(figure.axes) == len(open_graphs)


@pytest.mark.deep
@pytest.mark.slow
def test_the_preview_writes_pictures(site, tmp_path):
    url = f"http://{site.prometheus.address}"
    done = CliRunner().invoke(main, [url, "--out", str(tmp_path / "new"), "--dashboard", "site", "--minutes", "1"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "new/site.png").read_bytes().startswith(b"\x89PNG")


# The preview's errors and numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("monitor:9090", 2, "URL: 'monitor:9090' is not allowed"),
        ("http://[::1:9090", 2, "URL: 'http://[::1:9090' is not allowed"),
        ("http://127.0.0.1:1", 1, "http://127.0.0.1:1 does not answer as a Prometheus does"),
    ],
)
def test_the_preview_says_what_is_wrong_with_an_address(tmp_path, url, code, words):
    done = CliRunner().invoke(main, [url, "--out", str(tmp_path)])
    assert done.exit_code == code
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_password_goes_nowhere_in_clear():
    with pytest.raises(BadInput, match="URL: 'http://monitor:9090'"):
        asking.Prometheus("http://monitor:9090", user="slipway", password="secret")
    asking.Prometheus("https://monitor:9090", user="slipway", password="secret")


def test_files_and_folders_that_will_not_do_are_bad_input(tmp_path):
    no = tmp_path / "no"
    no.write_text("no")
    for arguments, field in ((["--ca", no], "--ca"), (["--out", no / "below"], "--out")):
        done = CliRunner().invoke(main, ["https://127.0.0.1:1", *map(str, arguments)])
        assert (done.exit_code, done.stderr.splitlines()[0].split(":")[:2]) == (2, ["preview", f" {field}"])


def test_the_preview_signs_in_and_says_so_if_it_may_not(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_PROMETHEUS_PASSWORD", "secret")

    def answer(method, path, headers):
        return (401, b"") if headers["Authorization"] != "Basic cGVvcGxlOnNlY3JldA==" else (200, b'{"data":{}}')

    service = Service(answer)
    try:
        for user, words in (("nobody", "answers 401"), ("people", "does not answer as a Prometheus does")):
            done = CliRunner().invoke(main, [service.url, "--out", str(tmp_path), "--user", user])
            assert done.exit_code == 1
            assert words in done.stderr
    finally:
        service.close()


class Recorded:
    """In place of a Prometheus: a line for each of some values."""

    def __init__(self, *values):
        self.values = values

    def over(self, expression, start, end):
        times = [start, (start + end) / 2, end]
        return [asking.Series({"host": f"gpu-{at}"}, times, [float(value)] * 3) for at, value in enumerate(self.values)]


def shown(unit, *values, **defaults):
    """The marks and the legend of a graph."""
    target = {"refId": "A", "expr": "up", "instant": False, "legendFormat": "{{host}}"}
    steps = [{"value": None, "color": "green"}]
    settings = {"unit": unit, "custom": {"stacking": None}, "thresholds": {"steps": steps}, **defaults}
    panel = {
        "type": "timeseries", "title": "Graph", "gridPos": {"x": 0, "y": 0, "w": 8, "h": 8}, "targets": [target],
        "fieldConfig": {"defaults": settings, "overrides": []},
    }  # fmt: skip
    figure = draw({"title": "Any", "panels": [panel], "templating": {"list": []}}, Recorded(*values), 0.0, 600.0)
    (axes,) = figure.axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    return [text.get_text() for text in axes.get_yticklabels()], names


@pytest.mark.parametrize(
    ("unit", "values", "least", "marks"),
    [
        ("bytes", (0, 22.5 * 2**30), 0, ["0 B", "5 GiB", "10 GiB", "15 GiB", "20 GiB"]),
        ("s", (0, 7200), 0, ["0 s", "30 min", "1 h", "1.5 h", "2 h"]),
        ("short", (0, 0), 0, ["0", "1"]),
        ("short", (0, 1), 0, ["0", "1"]),
    ],
)
def test_marks_of_an_axis_are_round_in_its_unit(unit, values, least, marks):
    assert shown(unit, *values, min=least)[0] == marks


@pytest.mark.parametrize("unit", ["watt", "percentunit", "celsius", "short", "bytes", "s", "suffix:steps/s"])
@pytest.mark.parametrize("values", [(66.4, 66.4), (66.2, 66.9), (0.001, 0.002), (3e9, 3.00001e9), (-5.0, 5.0)])
def test_no_two_marks_say_the_same(unit, values):
    marks = shown(unit, *values)[0]
    assert 0 < len(set(marks)) == len(marks), marks


def test_a_reference_hides_no_line():
    (panel,) = (each for each in reading.panels(DASHBOARDS["production"]) if each["title"] == "rl_eval_score_mean")
    made = {**DASHBOARDS["production"], "panels": [panel]}
    (axes,) = draw(made, Recorded(5), 0.0, 600.0).axes
    assert [(line.get_linestyle(), line.get_zorder()) for line in axes.lines] == [("-", 2.0)] + [("--", 1.9)] * 3


def test_a_legend_is_read_row_by_row_and_says_what_it_leaves_out():
    columns = ["gpu-0", "gpu-6", "gpu-1", "gpu-7", "gpu-2", "gpu-3", "gpu-4", "gpu-5"]  # matplotlib fills columns
    assert shown("short", *range(8))[1] == columns
    assert shown("short", *range(20))[1][-1] == "and 9 more"


@pytest.mark.parametrize(
    ("value", "unit", "spread", "text"),
    [
        (0.123, "percentunit", 1, "12 %"),
        (0.00123, "percentunit", 0.001, "0.12 %"),
        (90, "s", 90, "1.5 min"),
        (0.25, "s", 1, "250 ms"),
        (0, "s", 0, "0 s"),
        (1536, "bytes", 1, "1.5 KiB"),
        (2048, "binBps", 1, "2 KiB/s"),
        (250, "watt", 100, "250 W"),
        (41_234, "suffix: steps/s", 100, "41.2k steps/s"),
        (-41_234, "short", 100, "-41.2k"),
        (4.8123, "short", 0.1, "4.812"),
        (float("nan"), "short", 1, "-"),
        (0.00002, "short", 1, "2.0e-05"),
    ],
)
def test_numbers_are_written_with_their_units(value, unit, spread, text):
    assert written(value, unit, spread) == text
