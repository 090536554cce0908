"""The AWS SDK for JavaScript and sqs-consumer, driven by Node's own test runner."""

import os
import subprocess

import pytest


@pytest.mark.parametrize("name", ["sqs", "consumer"])
def test_javascript(name, javascript, serve):
    with serve() as headrace:
        command = ["node", "--test", "--test-reporter=spec", f"{name}.test.js"]
        environment = os.environ | {"HEADRACE_ENDPOINT": headrace.endpoint_url}
        done = subprocess.run(command, cwd=javascript, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
