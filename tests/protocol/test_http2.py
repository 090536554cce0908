"""HTTP/2 by prior knowledge and by TLS's ALPN, and TLS itself."""

import ssl

import httpx
import pytest
import trustme

from headrace import limits

TARGET = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.ListQueues"}


async def hello(scope, exchange):
    await exchange()
    exchange.response_bytes(200, [], f"{scope.scheme} {scope.http_version}".encode())


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def tls_files(authority, tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    cert, key = directory / "cert.pem", directory / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return {"tls_cert": str(cert), "tls_key": str(key)}


@pytest.fixture
def client_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


def test_prior_knowledge(headrace):
    with httpx.Client(http1=False, http2=True) as client:
        answer = client.post(headrace.endpoint_url, headers=TARGET, content=b"{}")
    assert (answer.http_version, answer.status_code, answer.content) == ("HTTP/2", 200, b"{}")
    assert answer.headers["x-amzn-requestid"]


def test_many_requests_share_a_connection(headrace, open_h2):
    connection = open_h2(headrace.endpoint_url)
    streams = [connection.request(TARGET, b"{}") for _ in range(50)]
    answers = [connection.answers.get(stream) or connection.answer(stream) for stream in streams]
    assert {answer.status for answer in answers} == {200}


def test_a_long_poll_does_not_hold_up_others(headrace, open_h2):
    sqs = headrace.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    connection = open_h2(headrace.endpoint_url)
    receive = TARGET | {"x-amz-target": "AmazonSQS.ReceiveMessage"}
    waiting = connection.request(receive, b'{"QueueUrl": "%s", "WaitTimeSeconds": 20}' % url.encode())
    assert connection.answer(connection.request(TARGET, b"{}")).status == 200
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    assert connection.answer(waiting).json["Messages"][0]["Body"] == "hello"


def test_the_authority_is_echoed(headrace, open_h2):
    connection = open_h2(headrace.endpoint_url)
    create = TARGET | {"x-amz-target": "AmazonSQS.CreateQueue"}
    answer = connection.answer(connection.request(create, b'{"QueueName": "q"}'))
    assert answer.json == {"QueueUrl": "http://h2.test:80/000000000000/q"}


def test_a_body_too_large(headrace):
    with httpx.Client(http1=False, http2=True, timeout=60) as client:
        answer = client.post(headrace.endpoint_url, headers=TARGET, content=b"x" * (limits.MAX_REQUEST_BYTES + 1))
        assert answer.status_code == 413
        assert client.post(headrace.endpoint_url, headers=TARGET, content=b"{}").status_code == 200


@pytest.mark.parametrize(("http2", "version"), [(True, "2"), (False, "1.1")])
def test_tls_offers_both(run_server, tls_files, client_tls, http2, version):
    server = run_server(hello, **tls_files)
    assert server.url.startswith("https://127.0.0.1:")
    with httpx.Client(http1=not http2, http2=http2, verify=client_tls) as client:
        assert client.get(server.url).text == f"https {version}"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(run_server, tls_files, client_tls, version):
    client_tls.minimum_version = client_tls.maximum_version = version
    server = run_server(hello, **tls_files)
    with httpx.Client(verify=client_tls) as client:
        assert client.get(server.url).text == "https 1.1"


def test_a_certificate_that_cannot_be_used(run_server, tls_files, tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("not a key")
    with pytest.raises(OSError, match=r"cannot use the certificate .*cert\.pem with the key .*wrong\.pem"):
        run_server(hello, tls_cert=tls_files["tls_cert"], tls_key=str(wrong))
