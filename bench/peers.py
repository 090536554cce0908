"""Every scenario on Headrace and its peers, side by side; each peer in an environment of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import report
import run
import servers

PINS = Path(__file__).parent / "peers"
SERVERS = "headrace,moto,ministack,kinesalite"
NODE = "kinesalite"


def install(name: str) -> None:
    """Make the peer's environment, unless it is there as pinned."""
    pins = PINS / name / "package-lock.json" if name == NODE else PINS / f"{name}.txt"
    environment = servers.ROOT / ".cache" / f"bench-{name}"
    done = environment / "installed.txt"
    if done.exists() and done.read_text() == pins.read_text():
        return
    if name == NODE and not shutil.which("npm"):
        print(f"npm is missing: {name} is left out", flush=True)
        return
    print(f"installing {name} in {environment.relative_to(servers.ROOT)}", flush=True)
    if name == NODE:
        _install_node(pins.parent, environment)
    else:
        _install_python(pins, environment)
    done.write_text(pins.read_text())


def _install_python(pins: Path, environment: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--requirement", str(pins)], check=True)


def _install_node(pins: Path, environment: Path) -> None:
    environment.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(pins / name, environment / name)
    npm = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(npm, cwd=environment, check=True)


if __name__ == "__main__":
    for peer in servers.PEERS:
        install(peer)
    report.main(run.SCENARIOS, servers_measured=SERVERS)
