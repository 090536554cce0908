"""The AWS SDK for JavaScript and Kinesis: its own HTTP/2 handler, without TLS and with it, and the one for HTTP/1.1."""

import os
import subprocess

import pytest


@pytest.mark.parametrize("name", ["kinesis", "subscribe"])
@pytest.mark.parametrize(("handler", "scheme"), [("http2", "http"), ("http2", "https"), ("http1", "http")])
def test_javascript(name, handler, scheme, javascript, serve, tls):
    settings = {"tls_cert": tls["cert"], "tls_key": tls["key"]} if scheme == "https" else {}
    with serve(**settings) as headrace:
        assert headrace.endpoint_url.startswith(f"{scheme}://127.0.0.1:")
        told = {
            "HEADRACE_ENDPOINT": headrace.endpoint_url,
            "HEADRACE_HANDLER": handler,
            "NODE_EXTRA_CA_CERTS": tls["ca"],
        }
        command = ["node", "--test", "--test-reporter=spec", f"{name}.test.js"]
        done = subprocess.run(
            command, cwd=javascript, env=os.environ | told, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
