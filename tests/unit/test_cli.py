"""The command line, run as people run it."""

import json
import os
import signal
import subprocess
import sys

import pytest

import headrace
from headrace.testing import StartError, spawn


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headrace", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=os.environ | environment, check=False
    )


def test_version():
    assert run("version").stdout == f"headrace {headrace.__version__}\n"


def test_help_names_every_option_with_its_variable():
    text = run("serve", "--help", COLUMNS="200").stdout
    for option in (
        "host", "port", "data", "engine", "clock", "quotas", "policies", "tls-cert", "tls-key", "test-endpoints",
        "resources", "log-level", "log-format", "nats", "replicas", "workers", "nats-prefix", "nats-domain",
        "nats-user", "nats-password", "nats-token", "nats-nkey", "nats-creds", "nats-tls-ca", "nats-tls-cert",
        "nats-tls-key", "share-port",
    ):  # fmt: skip
        assert f"--{option}" in text
        assert f"HEADRACE_{option.upper().replace('-', '_')}" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--clock", "cuckoo"], "'cuckoo' is not one of 'system', 'virtual'"),
        (["serve", "--port", "99999"], "headrace: port must be between 0 and 65535, not 99999"),
        (["serve", "--port", "many"], "Invalid value for '--port'"),
        (["serve", "--tls-cert", "cert.pem"], "headrace: TLS needs both"),
        (["serve", "--resources", "nothing.yaml"], "headrace: there is no file nothing.yaml"),
        (["serve", "--engine", "nats"], "headrace: the engine nats needs --nats"),
        (["serve", "--loud"], "No such option"),
        (["sevre"], "No such command"),
    ],
)
def test_a_wrong_option_is_told_without_a_traceback(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--from", "a"], 2, "--to"),
        (["--from", "a", "--to", "b"], 2, "one of --from and --to is a data directory"),
        (["--from", "a", "--to", "nats://127.0.0.1:1", "--replicas", "2"], 2, "replicas"),
        (["--from", "no-such-place", "--to", "nats://127.0.0.1:1"], 1, "There is no data in no-such-place"),
        (["--from", "nats://127.0.0.1:1", "--to", "b"], 1, "No NATS server can be used at 127.0.0.1:1"),
    ],
)
def test_a_move_that_cannot_be_made_is_told_without_a_traceback(arguments, code, said):
    done = run("migrate", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_environment_variables_are_options():
    assert "not 70000" in run("serve", HEADRACE_PORT="70000").stderr


def test_health_asks_a_running_server():
    with spawn() as server:
        done = run("health", "--url", server.endpoint_url)
        assert done.returncode == 0
        assert json.loads(done.stdout)["status"] == "ok"
        url = server.endpoint_url
    done = run("health", "--url", url)
    assert done.returncode == 1
    assert done.stderr.startswith(f"headrace: no answer from {url}")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_ends_with_success(number):
    with spawn() as server:
        sqs = server.client("sqs")
        url = sqs.create_queue(QueueName="orders")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="one")
        os.kill(server.pid, number)
        assert server.wait() == 0
        assert "Traceback" not in server.log


def test_it_says_where_it_listens_and_where_the_data_is(tmp_path):
    command = [sys.executable, "-m", "headrace", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("headrace ready on http://127.0.0.1:")
        assert str(tmp_path / "data") in process.stdout.readline()
        process.terminate()


@pytest.mark.parametrize("how", ["port", "locked", "file", "corrupt", "resources"])
def test_what_keeps_it_from_starting_is_told_in_a_line(tmp_path, how):
    data = tmp_path / "data"
    with spawn(data=str(data)) as other:
        given = {"data": str(tmp_path / "fresh")}
        if how == "port":
            given = {"port": int(other.endpoint_url.rpartition(":")[2]), "data": ":memory:"}
        elif how == "locked":
            given = {"data": str(data)}
        elif how == "file":
            (tmp_path / "fresh").write_text("not a directory")
        elif how == "corrupt":
            (tmp_path / "fresh").mkdir()
            for path in data.iterdir():
                (tmp_path / "fresh" / path.name).write_bytes(b"not a database at all " * 1000)
        elif how == "resources":
            (tmp_path / "file.yaml").write_text("queues:\n  no good:\n")
            given = {"data": ":memory:", "resources": str(tmp_path / "file.yaml")}
        with pytest.raises(StartError) as caught:
            spawn(**given)
    assert "headrace: " in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_request_s_log_line_has_the_id_that_the_client_was_told():
    with spawn(log_level="debug") as server:
        answer = server.client("sqs").list_queues()
    lines = [json.loads(line) for line in server.log.splitlines()]
    (told,) = [line for line in lines if line["event"] == "answered"]
    assert told["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert told["status"] == 200
