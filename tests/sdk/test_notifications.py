"""sns-validator, the check of notifications that AWS publishes, on what the server signs and sends."""

import os
import subprocess

import pytest
import trustme

from headrace.testing import spawn


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


def test_sns_validator(javascript, tls):
    # The validator takes certificates over HTTPS only.
    with spawn(tls_cert=tls["cert"], tls_key=tls["key"]) as headrace:
        command = ["node", "--test", "--test-reporter=spec", "notifications.test.js"]
        environment = os.environ | {"HEADRACE_ENDPOINT": headrace.endpoint_url, "NODE_EXTRA_CA_CERTS": tls["ca"]}
        done = subprocess.run(command, cwd=javascript, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
