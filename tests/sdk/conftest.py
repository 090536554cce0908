"""Clients, queues and foreign runtimes for the tests that drive the real server over a socket.

Most tests run twice: with the botocore of this environment, which speaks AWS JSON to SQS, and with the last one that
spoke AWS Query, which lives in a process of its own (`runtimes/query_client.py`).

All of them run on the engine that HEADRACE_TEST_ENGINE names in the environment. Without it they run on the embedded
one, and those of the modules in ON_EVERY_ENGINE on the cluster engine too.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import boto3
import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import ClientError

from headrace import testing

HERE = Path(__file__).parent
ENGINE = os.environ.get("HEADRACE_TEST_ENGINE")
ON_EVERY_ENGINE = (
    "sns/test_filtering.py",
    "sns/test_fifo.py",
    "sns/test_queue_policies.py",
    "stream_queues/test_records.py",
    "test_kinesis_streams.py",
    "test_sqs_dead_letters.py",
    "test_sqs_long_polling.py",
    "test_sqs_visibility.py",
)
CACHE = HERE.parent.parent / ".cache" / "runtimes"


def pytest_collection_modifyitems(items):
    """Give these tests more time: the first to need a runtime waits until its packages are installed."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(600))


def pytest_generate_tests(metafunc):
    """Choose the engines that a test runs on."""
    if "engine_name" in metafunc.fixturenames and ENGINE is None:
        module = metafunc.definition.path.relative_to(HERE).as_posix()
        if module in ON_EVERY_ENGINE:
            metafunc.parametrize("engine_name", ["sqlite", "nats"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def engine_name(request):
    """The engine under test."""
    return getattr(request, "param", ENGINE or "sqlite")


@pytest.fixture(scope="session")
def on_engine(engine_name, request):
    """A function that adds to a server's settings those that choose the engine under test.

    On NATS the data directory is a prefix; servers that are to keep nothing have one each.
    """
    if engine_name == "sqlite":
        return lambda settings: settings
    urls = request.getfixturevalue("nats_servers")(1)

    def add(settings):
        place = settings.get("data") or uuid.uuid4().hex
        prefix = "t" + hashlib.sha256(place.encode()).hexdigest()[:12]
        return {"engine": engine_name, "nats": urls, "nats_prefix": prefix, **settings}

    return add


@pytest.fixture(scope="session")
def serve(on_engine):
    """`headrace.testing.serve` on the engine under test."""
    return lambda **settings: testing.serve(**on_engine(settings))


@pytest.fixture(scope="session")
def spawn(on_engine):
    """`headrace.testing.spawn` on the engine under test."""
    return lambda **settings: testing.spawn(**on_engine(settings))


@pytest.fixture(scope="session")
def headrace_settings(on_engine):
    """The session's server too is on the engine under test."""
    return on_engine({})


@contextlib.contextmanager
def prepared(name, folder, pins):
    """Hold the lock of that name; yields whether the folder was made for other pins, and notes these.

    Several workers of pytest-xdist ask at once: one prepares, the others wait.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    stamp = folder / ".prepared-for"
    fingerprint = hashlib.sha256(pins.read_bytes()).hexdigest()
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stale = not stamp.exists() or stamp.read_text() != fingerprint
        yield stale
        if stale:
            stamp.write_text(fingerprint)


def run(*command, **options):
    """Run a command to its end; what it printed goes into the error when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def python_runtime():
    """A function that prepares the virtual environment of `runtimes/<name>.txt`, once; the path of its `bin`."""

    def prepare(name):
        requirements = HERE / "runtimes" / f"{name}.txt"
        label = f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
        folder = CACHE / label
        with prepared(label, folder, requirements) as stale:
            if stale:
                run(sys.executable, "-m", "venv", "--clear", "--without-pip", folder)
                pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder)
                run(*pip, "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes", "-r", requirements)
        return folder / "bin"

    return prepare


@pytest.fixture(scope="session")
def needs_tool():
    """A function that skips the test when a command is not installed; where CI is set that is a failure."""

    def need(command):
        if shutil.which(command) is None:
            ask = pytest.fail if os.environ.get("CI") else pytest.skip
            ask(f"{command} is not installed: these tests need it")

    return need


@pytest.fixture(scope="session")
def javascript(needs_tool):
    """The folder of the JavaScript tests, with their packages installed, once."""
    needs_tool("node")
    needs_tool("npm")
    folder = HERE / "js"
    with prepared("javascript", folder / "node_modules", folder / "package-lock.json") as stale:
        if stale:
            run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=folder)
    return folder


@pytest.fixture
def tls(tmp_path):
    """The files of a certificate for 127.0.0.1, and of the authority that vouches for it."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    paths = {name: tmp_path / f"{name}.pem" for name in ("cert", "key", "ca")}
    paths["cert"].write_bytes(b"".join(each.bytes() for each in leaf.cert_chain_pems))
    paths["key"].write_bytes(leaf.private_key_pem.bytes())
    authority.cert_pem.write_to_path(paths["ca"])
    return {name: str(path) for name, path in paths.items()}


class Driver:
    """A process of another environment that answers a line of JSON with another."""

    def __init__(self, *command, **options):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)

    def ask(self, asked, **reading):
        self._process.stdin.write(json.dumps(asked, default=_stand_in) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline(), **reading)

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def aws_commands(python_runtime):
    driver = Driver(
        python_runtime("awscli") / "python",
        HERE / "runtimes" / "aws_commands.py",
        env={"PATH": os.environ["PATH"]},
    )
    yield driver
    driver.close()


@pytest.fixture
def run_aws(aws_commands, headrace, tmp_path):
    """A function that runs the AWS CLI, its home in `tmp_path`, with the words after `aws`; the finished process."""
    environment = {
        "HOME": str(tmp_path),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "headrace",
        "AWS_SECRET_ACCESS_KEY": "headrace",
        "AWS_DEFAULT_OUTPUT": "json",
        "AWS_MAX_ATTEMPTS": "1",
    }

    def execute(*words):
        words = ["--endpoint-url", headrace.endpoint_url, *words]
        done = aws_commands.ask({"words": words, "environment": environment})
        return subprocess.CompletedProcess(words, done["code"], done["out"], done["err"])

    return execute


class QueryDriver(Driver):
    """The process of the older botocore."""

    def call(self, connection, method, params):
        asked = {"connection": connection, "method": method, "params": params}
        answer = self.ask(asked, object_hook=_revive)
        if "error" in answer:
            raise ClientError(answer["error"], answer["operation"])
        return answer["result"]


def _stand_in(value):
    return {"__bytes__": base64.b64encode(value).decode()}


def _revive(value):
    return base64.b64decode(value["__bytes__"]) if "__bytes__" in value else value


class QueryClient:
    """Looks like `boto3.client("sqs")`; each call goes to the driver."""

    def __init__(self, driver, connection):
        self._driver = driver
        self._connection = connection

    def __getattr__(self, method):
        return lambda **params: self._driver.call(self._connection, method, params)


@pytest.fixture(scope="session")
def query_driver(python_runtime):
    driver = QueryDriver(python_runtime("query") / "python", HERE / "runtimes" / "query_client.py")
    yield driver
    driver.close()


@pytest.fixture(scope="session")
def json_clients():
    """Clients made so far: making one costs more than most tests do."""
    clients = {}
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture(params=["json", "query"])
def protocol(request):
    """What the clients of this test speak; `@pytest.mark.parametrize("protocol", ["json"])` picks one."""
    return request.param


@pytest.fixture
def connect(headrace, protocol, json_clients, request):
    """A function that gives a client for the server, as an account and in a region."""

    def client(*, account="headrace", region="us-east-1", endpoint_url=None):
        connection = {
            "endpoint_url": endpoint_url or headrace.endpoint_url,
            "region_name": region,
            "aws_access_key_id": account,
            "aws_secret_access_key": "headrace",
        }
        if protocol == "query":
            return QueryClient(request.getfixturevalue("query_driver"), connection)
        key = tuple(connection.values())
        if key not in json_clients:
            config = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1})
            json_clients[key] = boto3.client("sqs", config=config, **connection)
        return json_clients[key]

    return client


@pytest.fixture
def sqs(connect):
    """A client of account 000000000000 in us-east-1."""
    return connect()


class Queue:
    """A queue as the tests handle it: its `url`, the `client` it was made with, and the calls they make most."""

    def __init__(self, client, name, **options):
        self.client = client
        self.name = name
        self.url = client.create_queue(QueueName=name, **options)["QueueUrl"]

    @property
    def arn(self):
        return self.attributes("QueueArn")["QueueArn"]

    def send(self, body, **options):
        return self.client.send_message(QueueUrl=self.url, MessageBody=body, **options)

    def send_batch(self, *entries):
        return self.client.send_message_batch(QueueUrl=self.url, Entries=list(entries))

    def receive(self, count=10, **options):
        """The messages one ReceiveMessage gives."""
        answer = self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=count, **options)
        return answer.get("Messages", [])

    def bodies(self, count=10, **options):
        return [message["Body"] for message in self.receive(count, **options)]

    def gather(self, count, **options):
        """Receive and delete until `count` messages have come, or none comes any more: they need not come together."""
        messages = []
        while len(messages) < count and (more := self.receive(WaitTimeSeconds=10, **options)):
            messages += more
            for message in more:
                self.delete(message)
        return messages

    def gather_bodies(self, count):
        return [message["Body"] for message in self.gather(count)]

    def delete(self, message):
        self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def hide(self, message, seconds):
        """ChangeMessageVisibility."""
        receipt = message["ReceiptHandle"]
        self.client.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=seconds)

    def attributes(self, *names):
        answer = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=list(names or ["All"]))
        return answer.get("Attributes", {})

    def set(self, **attributes):
        self.client.set_queue_attributes(QueueUrl=self.url, Attributes=attributes)

    def depth(self):
        """Messages visible, in flight and delayed."""
        found = self.attributes("All")
        return tuple(int(found[f"ApproximateNumberOfMessages{state}"]) for state in ("", "NotVisible", "Delayed"))


@pytest.fixture
def make_queue(sqs):
    """A function that creates a queue: `make_queue("orders", DelaySeconds="5")`."""
    return lambda name, *, client=sqs, tags=None, **attributes: Queue(
        client,
        name,
        **({"Attributes": attributes} if attributes else {}),
        **({"tags": tags} if tags else {}),
    )


@pytest.fixture
def queue(make_queue):
    """A standard queue with AWS's defaults."""
    return make_queue("orders")


@pytest.fixture
def fifo(make_queue):
    """A FIFO queue with AWS's defaults."""
    return make_queue("orders.fifo", FifoQueue="true")


@pytest.fixture
def refused():
    """A context manager factory: the block's call must be refused with this code, status and (if given) message."""

    @contextlib.contextmanager
    def expect(code, message=None, *, status=400):
        with pytest.raises(ClientError) as caught:
            yield caught
        error = caught.value.response["Error"]
        found = (error["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"])
        assert found == (code, status), error
        if message is not None:
            assert error["Message"] == message
        assert error["Type"] == "Sender"

    return expect
