"""The examples in the README and the guide do what the text says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.resources import read_resources


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE)


def test_the_boto3_session(root: Path, headrace):
    session = next(block for block in blocks(root / "README.md", "python") if "import boto3" in block)
    source = session.replace("http://127.0.0.1:4566", headrace.endpoint_url)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == blocks(root / "README.md", "text")[0]


def test_the_pytest_examples(root: Path, pytester: pytest.Pytester):
    for page in ("README.md", "docs/testing.md"):
        examples = [block for block in blocks(root / page, "python") if block.startswith("def test_")]
        pytester.makepyfile(**{f"test_{Path(page).stem}": "\n\n".join(examples)})
    pytester.runpytest_subprocess("-W", "error", "-p", "no:asyncio").assert_outcomes(passed=3)


def test_the_guide_s_programs(root: Path, tmp_path: Path):
    programs = [block for block in blocks(root / "docs/testing.md", "python") if "from headrace.testing" in block]
    assert len(programs) == 2
    for program in programs:
        subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, timeout=60, check=True)


@pytest.mark.parametrize("name", ["README.md", "docs/configuration.md"])
def test_the_resources_file(root: Path, tmp_path: Path, name: str):
    (example,) = blocks(root / name, "yaml")
    (tmp_path / "file.yaml").write_text(example)
    resources = read_resources(str(tmp_path / "file.yaml"))
    assert [queue.name for queue in resources.queues] == ["orders", "orders-failed", "steps.fifo"]


def test_every_link_leads_somewhere(root: Path):
    for page in [root / "README.md", root / "CHANGELOG.md", *(root / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"
