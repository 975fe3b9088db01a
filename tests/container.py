"""``python -m tests.container [--reuse]``: the Dockerfile's steps without Docker.

It reads the Dockerfile and does what it says, in a fresh folder that stands for the image: COPY copies what .dockerignore lets
through, RUN runs in a clean virtual environment, ENV is all that the app gets, USER is a user without a home who can write
nothing, CMD starts the app, and HEALTHCHECK has to find it well. Other than Docker it has this machine's Python and system
libraries, picks a free port, and makes no user. With ``--reuse`` nothing is installed: the packages are those that run this.

Another user can be taken by root alone, and if this user may run the Python; who ran the app is told.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlem.ui.serving import free_port

ROOT = Path(__file__).parents[1]
_WAIT = 120.0  # s: for the app to be well
_NOBODY = "/nonexistent"  # a home that is not there
_KNOWN = {"FROM", "ARG", "RUN", "WORKDIR", "COPY", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "CMD"}


@dataclass(frozen=True)
class Instruction:
    """One of a Dockerfile: its name in capitals, and what follows it, on one line."""

    name: str
    text: str


def instructions(dockerfile: str) -> list[Instruction]:
    """All of them. Raises ValueError for one that is not known here."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n", " ", "\n".join(lines))
    found = list[Instruction]()
    for line in filter(None, map(str.strip, whole.splitlines())):
        name, _, text = line.partition(" ")
        if name.upper() not in _KNOWN:
            raise ValueError(f"the Dockerfile's {name} is not replayed here; known are {', '.join(sorted(_KNOWN))}")
        found.append(Instruction(name.upper(), text.strip()))
    return found


class Image:
    """The folder that stands for the image, and what the instructions have made of it so far. ``tell`` is told each step."""

    def __init__(self, folder: Path, reuse: bool, tell: Callable[[str], None]) -> None:
        self._folder, self._reuse, self._tell = folder, reuse, tell
        self._python = Path(sys.executable).parent if reuse else folder / "python" / "bin"
        self._let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
        self._ids = set[int]()
        self.directory, self.uid = folder, 0
        self.environment = dict[str, str]()
        self.command, self.check = list[str](), list[str]()

    def build(self, steps: Sequence[Instruction]) -> None:
        """All instructions, in order."""
        for step in steps:
            self._tell(f"{step.name} {step.text}")
            getattr(self, f"_{step.name.lower()}")(step.text)

    def arguments(self, command: Sequence[str]) -> list[str]:
        """``command`` as the image's user would run it; where this Python is not for others, as root without a right that other
        users do not have."""
        program = shutil.which(command[0], path=self.variables()["PATH"]) or command[0]
        return [*(_as_user(self.uid) if self.drops else _as_root_without_rights()), program, *command[1:]]

    @cached_property
    def drops(self) -> bool:
        """Whether the app can be run as the image's user."""
        return os.getuid() == 0 and _runs([*_as_user(self.uid), str(self._python / "python")], "torch")

    def variables(self, home: str = _NOBODY) -> dict[str, str]:
        """The whole environment of what runs in the image."""
        return {"PATH": f"{self._python}:/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", **self.environment}

    def _from(self, text: str) -> None:
        wanted = re.fullmatch(r"python:(3\.\d+)-slim", text)
        if wanted is None or wanted[1] != f"{sys.version_info.major}.{sys.version_info.minor}":
            raise ValueError(f"FROM takes python:{sys.version_info.major}.{sys.version_info.minor}-slim here, got {text}")
        if self._reuse:
            return
        python = Path(sys.base_prefix)
        if os.getuid() == 0 and not _runs([*_as_user(1000), str(python / "bin" / "python3")], "encodings"):
            python = self._folder / "base"
            shutil.copytree(sys.base_prefix, python, symlinks=True, ignore=shutil.ignore_patterns("site-packages", "test"))
            self.environment["LD_LIBRARY_PATH"] = str(python / "lib")  # else it may find the library of another Python
        subprocess.run([python / "bin" / "python3", "-m", "venv", self._folder / "python"], check=True)

    def _arg(self, text: str) -> None:
        name, _, default = text.partition("=")
        if value := os.environ.get(name, default.strip('"')):
            self.environment[name] = value

    def _workdir(self, text: str) -> None:
        self.directory = self._folder / text.lstrip("/")
        self.directory.mkdir(parents=True, exist_ok=True)

    def _copy(self, text: str) -> None:
        *sources, target = text.split()
        for source in sources:
            if source not in self._let_through:
                raise ValueError(f"COPY {source}: .dockerignore does not let it through")
            to = self.directory / target
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
            else:
                shutil.copy(ROOT / source, to)

    def _run(self, text: str) -> None:
        if text.startswith("useradd "):
            words = shlex.split(text)
            self._ids.add(int(words[words.index("--uid") + 1]))
        elif text.startswith("pip install ") and self._reuse:
            self._tell("  … not done: the packages are those that run this")
        else:
            pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
            variables = self.variables(os.environ.get("HOME", "/")) | pip
            subprocess.run(["sh", "-c", text], cwd=self.directory, env=variables, check=True)

    def _user(self, text: str) -> None:
        if int(text) not in self._ids:
            raise ValueError(f"USER {text} was not added by useradd --uid")
        self.uid = int(text)

    def _env(self, text: str) -> None:
        self.environment |= dict(word.split("=", 1) for word in shlex.split(text))

    def _expose(self, text: str) -> None:
        self._tell(f"  … a free port stands for {int(text)}")

    def _healthcheck(self, text: str) -> None:
        self.check = json.loads(text[text.index("CMD ") + 4 :])

    def _cmd(self, text: str) -> None:
        self.command = json.loads(text)


def _as_user(uid: int) -> list[str]:
    return ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--no-new-privs"]


def _as_root_without_rights() -> list[str]:
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"] if os.getuid() == 0 else []


def _runs(python: Sequence[str], module: str) -> bool:
    """Whether this Python starts, can start itself, and finds the module."""
    itself = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    test = f"import importlib.util; assert importlib.util.find_spec({module!r}); {itself}"
    return subprocess.run([*python, "-c", test], capture_output=True, check=False).returncode == 0


@contextmanager
def _writes_nothing(folder: Path) -> Iterator[None]:
    """The image as a container with a read-only file system sees it."""
    subprocess.run(["chmod", "-R", "a-w,a+rX", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)


def replay(*, reuse: bool, tell: Callable[[str], None], dockerfile: str | None = None) -> bool:
    """Whether the app that the Dockerfile makes is found well by its own health check. Raises ValueError for a Dockerfile that
    cannot be replayed, CalledProcessError where a step fails."""
    steps = instructions((ROOT / "Dockerfile").read_text() if dockerfile is None else dockerfile)
    with tempfile.TemporaryDirectory(prefix="image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        image = Image(folder, reuse, tell)
        image.build(steps)
        if image.uid != 1000:
            raise ValueError(f"a Space runs everything as uid 1000, got {image.uid}")
        with _writes_nothing(folder):
            return _well(image, tell)


def _well(image: Image, tell: Callable[[str], None]) -> bool:
    """Starts the app and asks its health check until it is well, or the time is over."""
    port = free_port()
    if not any(word.endswith(".port=8501") for word in image.command):
        raise ValueError(f"CMD has to name the port 8501 that is exposed, got {image.command}")
    command = [re.sub(r"port=8501$", f"port={port}", word) for word in image.command]
    tell(f"running as uid {image.uid if image.drops else os.getuid()}, without a home, in a folder that nobody may write to")
    variables, began = image.variables(), time.monotonic()
    with tempfile.TemporaryFile() as log:
        app = subprocess.Popen(
            image.arguments(command), cwd=image.directory, env=variables, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while app.poll() is None and time.monotonic() - began < _WAIT:
                check = subprocess.run(
                    image.arguments([*image.check, str(port)]),
                    cwd=image.directory,
                    env=variables,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if check.returncode == 0:
                    processes = _processes(app.pid)
                    tell(f"the health check passes; {len(processes)} processes, {_memory(processes)}")
                    return True
                time.sleep(0.5)
            log.seek(0)
            tell(f"the app is not well: {check.stderr.strip()}\n{log.read().decode(errors='replace')[-2000:]}")
            return False
        finally:
            with suppress(ProcessLookupError):
                os.killpg(app.pid, signal.SIGTERM)
            app.wait()


def _processes(group: int) -> list[Path]:
    """Of the app: where Linux tells of each."""
    fields = {stat.parent: stat.read_text().rpartition(")")[2].split() for stat in Path("/proc").glob("[0-9]*/stat")}
    return [process for process, told in fields.items() if int(told[2]) == group and told[0] != "Z"]


def _memory(processes: Sequence[Path]) -> str:
    """What is resident, of all together; what they share counts for each."""
    lines = [line for process in processes for line in (process / "status").read_text().splitlines()]
    return f"{sum(int(line.split()[1]) for line in lines if line.startswith('VmRSS:')) / 1e6:.2f} GB"


if __name__ == "__main__":
    sys.exit(0 if replay(reuse="--reuse" in sys.argv[1:], tell=lambda text: print(text, flush=True)) else 1)
