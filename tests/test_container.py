"""The container and the Space: linted, and replayed with the packages that run this test; ``python -m tests.container`` has the
long variant, which installs its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.container import ROOT, instructions, replay

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}  # that a Space may have


def test_the_dockerfile_is_linted() -> None:
    beside = Path(sys.executable).parent / "hadolint"
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    assert hadolint, "pip install -r requirements-dev.txt brings hadolint"
    found = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_its_steps_start_an_app_that_is_well() -> None:
    told: list[str] = []
    assert replay(reuse=True, tell=told.append), "\n".join(told)
    assert "the health check passes; 2 processes" in told[-1], "the server, and what computes for it"


def test_what_the_container_is() -> None:
    """A demo for user 1000 that listens to all, and tells nobody anything."""
    by_name = {step.name: step.text for step in instructions(DOCKERFILE)}
    assert by_name["USER"] == "1000"
    assert by_name["EXPOSE"] == "8501"
    for setting in ("MLEM_DEMO=1", "HF_HUB_OFFLINE=1", "HF_HUB_DISABLE_TELEMETRY=1"):
        assert setting in by_name["ENV"].split()
    assert "--server.address=0.0.0.0" in by_name["CMD"]


def test_lines_that_go_on_are_one_instruction() -> None:
    found = instructions("# said\nFROM a\n\nENV A=1 \\\n    B=2\n  # said too\nrun x && \\\n  y\n")
    assert [(step.name, " ".join(step.text.split())) for step in found] == [
        ("FROM", "a"),
        ("ENV", "A=1 B=2"),
        ("RUN", "x && y"),
    ]


@pytest.mark.parametrize(
    ("dockerfile", "error"),
    [
        ("VOLUME /data", "VOLUME is not replayed"),
        ("FROM debian", "FROM takes python:"),
        ("WORKDIR /home/app\nCOPY tests tests", "does not let it through"),
        ("USER 1000", "was not added"),
        ("RUN useradd --uid 1001 app\nUSER 1001", "uid 1000, got 1001"),
        ("RUN useradd --uid 1000 app\nUSER 1000\nCMD [\"streamlit\", \"run\", \"app.py\"]", "has to name the port"),
    ],
)  # fmt: skip
def test_what_a_space_would_not_take_is_refused(dockerfile: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        replay(reuse=True, tell=lambda text: None, dockerfile=dockerfile)


def test_the_readme_makes_it_a_space() -> None:
    head = re.match(r"---\n(.*?)\n---\n", (ROOT / "README.md").read_text(), re.DOTALL)
    assert head
    told = dict(line.split(": ", 1) for line in head[1].splitlines())
    assert told["sdk"] == "docker"
    assert f"--server.port={told['app_port']}" in DOCKERFILE
    assert {told["colorFrom"], told["colorTo"]} <= COLOURS
    assert {"title", "emoji", "license"} <= told.keys()
    assert len(told["short_description"]) <= 60
