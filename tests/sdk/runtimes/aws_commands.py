"""Runs AWS CLI commands: JSON lines in, each the words after `aws` and the environment; what came of each out.

What takes longest of a command is importing the CLI. That is done once, and each command runs in a fork of that.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import awscli.clidriver
from botocore.loaders import Loader


def run(words, environment):
    """Run a command to its end: its exit code, and what it wrote to standard output and to standard error."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.environ.update(environment)
            Loader.CUSTOMER_DATA_PATH = str(Path("~/.aws/models").expanduser())  # which it had of the home at first
            os._exit(_command(words))
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), _written(out), _written(err)


def _command(words):
    """Run it in this process; its exit code."""
    sys.argv = ["aws", *words]
    code = 1
    try:
        code = awscli.clidriver.main()
    except SystemExit as left:
        code = left.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return code if isinstance(code, int) else 1


def _written(file):
    file.seek(0)
    return file.read().decode()


def main():
    awscli.clidriver.create_clidriver().create_help_command()  # which imports what commands need
    for line in sys.stdin:
        asked = json.loads(line)
        code, out, err = run(asked["words"], asked["environment"])
        answer = {"code": code, "out": out, "err": err}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
