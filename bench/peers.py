"""Every scenario on Headrace, `moto_server` and `ministack`, side by side; each peer in an environment of its own."""

import subprocess
import sys
from pathlib import Path

import report
import run
import servers

PINS = Path(__file__).parent / "peers"
SERVERS = "headrace,moto,ministack"


def install(name: str) -> None:
    """Make the peer's environment, unless it is there as pinned."""
    pins = PINS / f"{name}.txt"
    environment = servers.ROOT / ".cache" / f"bench-{name}"
    done = environment / "installed.txt"
    if done.exists() and done.read_text() == pins.read_text():
        return
    print(f"installing {name} in {environment.relative_to(servers.ROOT)}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--requirement", str(pins)], check=True)
    done.write_text(pins.read_text())


if __name__ == "__main__":
    for peer in servers.PEERS:
        install(peer)
    report.main(run.SCENARIOS, servers_measured=SERVERS)
