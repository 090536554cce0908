"""Drive a running Headrace with SDKs that are built here first: Go v1 and v2, the calls of Terraform's provider, Java.

What is downloaded and built goes into `.cache`. A tool that is not installed is left out, with a word about it; where
CI is set that is a failure. Arguments choose among the suites: `run.py go java`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from headrace.testing import spawn

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".cache"
SUITES = {
    "go": ["go", "test", "-count=1", "./..."],
    "java": ["mvn", "--batch-mode", "--quiet", f"-Dmaven.repo.local={CACHE / 'maven'}", "test"],
}


def environment(endpoint_url: str) -> dict[str, str]:
    """What the suites are told: where the server is, and where to keep what they download and build."""
    kept = {
        "GOCACHE": str(CACHE / "go" / "build"),
        "GOFLAGS": "-modcacherw -mod=readonly",
        "GOMODCACHE": str(CACHE / "go" / "modules"),
        "GOTOOLCHAIN": "local",
    }
    return os.environ | kept | {"HEADRACE_ENDPOINT": endpoint_url}


def run(name: str) -> bool:
    """Run a suite against a server of its own; whether it is well."""
    command = SUITES[name]
    if shutil.which(command[0]) is None:
        say(f"{name}: left out, {command[0]} is not installed")
        return not os.environ.get("CI")
    with spawn() as headrace:
        done = subprocess.run(command, cwd=HERE / name, env=environment(headrace.endpoint_url), check=False)
    say(f"{name}: {'failed' if done.returncode else 'passed'}")
    return done.returncode == 0


def say(line: str) -> None:
    """Print a line at once, between what the suites print themselves."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the suites named on the command line, or all of them; 0 when all are well."""
    results = [run(name) for name in sys.argv[1:] or SUITES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
