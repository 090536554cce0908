"""An SQS client of an older botocore that serves calls from its standard input; it runs under that botocore's Python.

One JSON object a line: `{"connection": {boto3 arguments}, "method": "send_message", "params": {…}}` in, and
`{"result": {…}}` or `{"error": {parsed response}, "operation": "SendMessage"}` out. Bytes travel as
`{"__bytes__": base64}`.
"""

import base64
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def revive(value):
    """Turn the stand-ins for bytes into bytes."""
    return base64.b64decode(value["__bytes__"]) if "__bytes__" in value else value


def stand_in(value):
    """What JSON has no word for: only bytes come in answers of SQS."""
    return {"__bytes__": base64.b64encode(value).decode()}


def serve():
    """Answer calls until the input ends."""
    clients = {}
    for line in sys.stdin:
        asked = json.loads(line, object_hook=revive)
        key = json.dumps(asked["connection"], sort_keys=True)
        if key not in clients:
            config = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1})
            clients[key] = boto3.client("sqs", config=config, **asked["connection"])
            assert clients[key].meta.service_model.protocol == "query"
        try:
            answer = {"result": getattr(clients[key], asked["method"])(**asked["params"])}
        except ClientError as error:
            answer = {"error": error.response, "operation": error.operation_name}
        sys.stdout.write(json.dumps(answer, default=stand_in) + "\n")
        sys.stdout.flush()


serve()
