"""What rsyslog hands over goes to Loki, and whatever Loki answers, rsyslog is told what to do with the line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from service import Service

SCRIPT = Path(__file__).parents[3] / "ansible/roles/logs/files/loki.py"
SAID = {"time": "2026-11-26T20:00:00.250Z", "severity": "ERROR", "run_id": "a/seed-0", "message": 'he said "hü"'}
LINE = {"host": "gpu-1", "name": "a", "severity": "", "time": "2026-11-26T20:00:01.5+00:00", "msg": json.dumps(SAID)}
WORDS = {**LINE, "name": "slipway-worker@0.service", "severity": "WARNING", "msg": "plain words"}


@pytest.fixture
def answers():
    """Codes that Loki answers, one after the other; the last for good."""
    return [204]


@pytest.fixture
def loki(answers):
    service = Service(lambda *_: (answers.pop(0) if len(answers) > 1 else answers[0], b"why\nnot"))
    yield service
    service.close()


@pytest.fixture
def push(tmp_path, loki):
    """What the program answers to lines of rsyslog."""

    def run(*lines, **settings):
        configuration = tmp_path / "loki.json"
        empty = dict.fromkeys(("tenant", "user", "password", "ca"), "")
        configuration.write_text(json.dumps({"url": loki.url, **empty, **settings}))
        given = "".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines)
        command = [sys.executable, "-I", SCRIPT, configuration]
        environment = {"http_proxy": "http://127.0.0.1:1", "LC_ALL": "C"}
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, env=environment)
        assert done.stderr == ""
        return done.stdout.splitlines()

    return run


def sent(loki):
    return [json.loads(body)["streams"][0] for _, _, _, body in loki.requests]


def test_lines_have_few_labels_and_their_own_time(push, loki):
    assert push(LINE, WORDS) == ["OK", "OK", "OK"]
    first, second = sent(loki)
    assert first["stream"] == {"job": "slipway", "host": "gpu-1", "level": "error", "run_id": "a/seed-0"}
    assert first["values"] == [["1795723200250000000", LINE["msg"]]]
    unit = {"job": "slipway", "host": "gpu-1", "level": "warning", "unit": "slipway-worker@0.service"}
    assert (second["stream"], second["values"]) == (unit, [["1795723201500000000", "plain words"]])
    command, path, headers, _ = loki.requests[0]
    assert (command, path, headers["Content-Type"]) == ("POST", "/loki/api/v1/push", "application/json")
    assert not {"authorization", "x-scope-orgid"} & {name.lower() for name in headers}


def test_a_tenant_and_a_password_are_shown(push, loki):
    push(LINE, tenant="ours", user="slipway", password="pass:word")
    headers = {name.lower(): value for name, value in loki.requests[0][2].items()}
    assert (headers["x-scope-orgid"], headers["authorization"]) == ("ours", "Basic c2xpcHdheTpwYXNzOndvcmQ=")


@pytest.mark.parametrize("code", [302, 307, 401, 404, 429, 500, 503])
def test_what_may_pass_is_tried_again_and_nothing_is_sent_elsewhere(push, loki, answers, code):
    answers[:] = [code, 204]
    ready, first, second = push(LINE, LINE, user="slipway", password="secret")
    assert (ready, first, second) == ("OK", f"not yet: {code} why not", "OK")
    assert len(loki.requests) == 2


def test_what_loki_never_takes_holds_nothing_up(push, loki, answers):
    answers[:] = [400, 204]
    assert push(LINE, WORDS) == ["OK", "OK", "OK"]
    assert len(loki.requests) == 2


def test_a_loki_that_is_away_is_waited_for(push, loki):
    loki.close()
    answer = push(LINE)[1]
    assert answer.startswith("not yet: ")
    assert "refused" in answer


def test_what_is_no_line_is_left_out(push, loki):
    assert push("{", "[]", '{"host": 1}', {**LINE, "msg": "[" * 100_000}, LINE) == ["OK"] * 6
    assert len(loki.requests) == 1
