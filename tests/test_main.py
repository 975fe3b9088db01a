"""The command line: the same results as in Python, and bad input told in one line."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mlem
from mlem import __main__ as command
from mlem.errors import NonFiniteStep
from mlem.experiments import coin, experiment, hierarchy, race
from mlem.experiments.params import to_key

Capture = pytest.CaptureFixture[str]

QUICK = {
    "hierarchy": ["--sde", "ornstein-uhlenbeck", "--levels", "2", "--paths", "16"],
    "diagnostics": ["--sde", "ornstein-uhlenbeck", "--levels", "3", "--paths", "64"],
    "coin": ["--sde", "ornstein-uhlenbeck", "--levels", "2", "--draws", "50"],
    "race": ["--sde", "ornstein-uhlenbeck", "--levels", "5", "--epsilon", "0.1", "--paths", "16"],
}
quick = pytest.mark.parametrize("name", QUICK)
every = pytest.mark.parametrize("name", experiment.NAMES)


def told(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    try:
        status = command.main(arguments)
    except SystemExit as stop:
        status = int(stop.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def without_seconds(value: Any) -> Any:
    """What is the same from run to run."""
    if isinstance(value, dict):
        return {key: without_seconds(item) for key, item in value.items() if "seconds" not in key}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


def is_one_line(text: str) -> bool:
    return text.endswith("\n") and text.count("\n") == 1 and "Traceback" not in text


# ── what comes out


@quick
def test_a_run_prints_its_table_and_what_was_found(name: str, capsys: Capture) -> None:
    status, out, err = told(capsys, name, *QUICK[name])
    assert (status, err) == (0, "")
    table, summary = out.rstrip("\n").split("\n\n")
    assert len(table.split("\n")) >= 3
    assert summary.endswith(".")


@quick
def test_json_run_again_gives_the_same_numbers(name: str, capsys: Capture) -> None:
    status, out, err = told(capsys, name, *QUICK[name], "--seed", "3", "--json", "-")
    assert (status, err) == (0, "")
    content = json.loads(out)
    assert content["experiment"] == name
    assert content["version"] == mlem.__version__
    assert content["params"]["seed"] == 3
    again = [text for key, value in content["params"].items() if value is not None for text in (f"--{to_key(key)}", str(value))]
    _, out, _ = told(capsys, name, *again, "--json", "-")
    assert without_seconds(json.loads(out)) == without_seconds(content)


def test_the_numbers_are_those_of_python(capsys: Capture) -> None:
    _, out, _ = told(capsys, "hierarchy", *QUICK["hierarchy"], "--json", "-")
    params = hierarchy.HierarchyParams(sde="ornstein-uhlenbeck", levels=2, paths=16)
    gamma = hierarchy.run(params).gamma
    assert gamma is not None
    assert json.loads(out)["result"]["gamma"] == {"value": gamma.value, "low": gamma.low, "high": gamma.high}
    assert hierarchy.HierarchyParams(**json.loads(out)["params"]) == params


def test_the_link_of_a_page_and_its_command_are_one_run(capsys: Capture) -> None:
    params = coin.CoinParams(sde="ornstein-uhlenbeck", levels=2, draws=50, rule="too-flat", budget=0.3)
    _, out, _ = told(capsys, "coin", *params.to_arguments().split(), "--json", "-")
    assert json.loads(out)["params"] == json.loads(json.dumps(vars(params)))
    assert coin.CoinParams.nearest(params.to_query()) == (params, [])


@quick
def test_files_hold_what_is_printed(name: str, capsys: Capture, tmp_path: Path) -> None:
    data, table = tmp_path / "result.json", tmp_path / "result.csv"
    status, out, _ = told(capsys, name, *QUICK[name], "--json", str(data), "--csv", str(table))
    assert status == 0
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    assert len(rows) == len(out.split("\n\n")[0].split("\n")) - 1
    _, printed, _ = told(capsys, name, *QUICK[name], "--json", "-")
    assert without_seconds(json.loads(data.read_text(encoding="utf-8"))) == without_seconds(json.loads(printed))


@quick
def test_an_export_can_be_opened_again(name: str, capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    told(capsys, name, *QUICK[name], "--seed", "3", "--json", str(file))
    first = without_seconds(json.loads(file.read_text(encoding="utf-8")))
    status, out, err = told(capsys, name, "--from", str(file), "--json", "-")
    assert (status, err) == (0, f"the same numbers as in {file}\n")
    assert without_seconds(json.loads(out)) == first


def test_other_numbers_than_in_an_export_are_told(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    told(capsys, "coin", *QUICK["coin"], "--json", str(file))
    held = json.loads(file.read_text(encoding="utf-8"))
    held["result"]["mean"]["measured"] += 1.0
    held["version"] = "0.0.1"
    file.write_text(json.dumps(held), encoding="utf-8")
    status, out, err = told(capsys, "coin", "--from", str(file))
    assert status == 1
    assert "draws average" in out
    assert is_one_line(err)
    assert err.startswith(
        f"1 numbers are others than in {file}, which is of version 0.0.1; the first: result.mean.measured was "
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "an export of this command takes JSON with experiment, params, result, version, got something else"),
        ("[1]", "an export of this command takes JSON with experiment, params, result, version, got something else"),
        ('{"experiment": "race", "params": {}, "result": {}, "version": ""}', "an export of coin is taken, got one of 'race'"),
        ('{"experiment": "coin", "params": {"x": 1}, "result": {}, "version": ""}', "parameter takes one of sde, "),
        ('{"experiment": "coin", "params": {"draws": "9"}, "result": {}, "version": ""}', "draws takes an integer from 1 to"),
    ],
)
def test_what_is_no_export_is_refused_in_one_line(content: str, words: str, capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    file.write_text(content, encoding="utf-8")
    status, out, err = told(capsys, "coin", "--from", str(file))
    assert (status, out) == (2, "")
    assert is_one_line(err)
    assert err.startswith(f"python -m mlem coin: {words}")


def test_a_file_that_is_not_there_or_options_besides_are_refused(capsys: Capture, tmp_path: Path) -> None:
    status, _, err = told(capsys, "coin", "--from", str(tmp_path / "nothing.json"))
    assert status == 2
    assert is_one_line(err)
    assert "--from takes a file that can be read" in err
    status, _, err = told(capsys, "coin", "--from", "x.json", "--draws", "3")
    assert status == 2
    assert "--from takes all parameters from its file, got draws besides" in err


def test_one_level_has_a_gamma_of_null(capsys: Capture) -> None:
    _, out, _ = told(capsys, "hierarchy", "--sde", "ornstein-uhlenbeck", "--levels", "1", "--paths", "16", "--json", "-")
    assert json.loads(out)["result"]["gamma"] is None


# ── help


@every
def test_help_explains_every_parameter(name: str, capsys: Capture) -> None:
    status, out, err = told(capsys, name, "--help")
    assert (status, err) == (0, "")
    flat = " ".join(out.split())
    for field, spec in experiment.get(name).params.specs().items():
        assert f"--{to_key(field)} " in flat
        assert " ".join(spec.help.split()) in flat
        assert all(choice in flat for choice in spec.choices)
    assert experiment.get(name).question in flat


def test_help_and_version_of_the_whole(capsys: Capture) -> None:
    status, out, _ = told(capsys, "--help")
    assert status == 0
    assert all(name in out for name in experiment.NAMES)
    assert told(capsys, "--version") == (0, f"{mlem.__version__}\n", "")


# ── what is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["hierarchy", "--gamma", "9"], "python -m mlem hierarchy: gamma takes a number ≥ 0.25 and ≤ 8, got 9"),
        (["hierarchy", "--gamma", "nan"], "python -m mlem hierarchy: gamma takes a number ≥ 0.25 and ≤ 8, got 'nan'"),
        (["hierarchy", "--levels", "2.5"], "python -m mlem hierarchy: levels takes an integer from 1 to 10, got 2.5"),
        (
            ["hierarchy", "--kind", "spectral", "--gamma", "8"],
            "python -m mlem hierarchy: levels takes an integer from 1 to 3 for spectral levels with gamma 8, got 6",
        ),
        (["coin", "--budget", "0"], "python -m mlem coin: budget takes a number ≥ 0.001 and ≤ 1, got 0"),
        (
            ["coin", "--rule", "naive"],
            "python -m mlem coin: rule takes one of optimal, power-law, too-flat, too-steep, got 'naive'",
        ),
        (["coin", "--draws", ""], "python -m mlem coin: draws takes an integer from 1 to 10000, got ''"),
        (["coin", "--draws"], "python -m mlem coin: argument --draws: expected one argument"),
        (["coin", "--speed", "1"], "python -m mlem coin: unrecognized arguments: --speed 1"),
        (["coin", "--gam", "1"], "python -m mlem coin: unrecognized arguments: --gam 1"),
        (["race", "--epsilon", "1e-9"], "python -m mlem race: epsilon takes a number ≥ 0.001 and ≤ 0.5, got 1e-09"),
        (
            ["race", "--sde", "lorenz", "--dim", "4"],
            "python -m mlem race: dim is not an option of lorenz, which takes noise, horizon",
        ),
        (
            ["race", "--sde", "spectral", "--gamma", "1", "--dim", "4"],
            "python -m mlem race: dim is not an option of spectral, which takes none",
        ),
        ([], "python -m mlem: the following arguments are required: experiment"),
        (["plans", "now"], "python -m mlem plans: unrecognized arguments: now"),
        (["store", "--json", "-"], "python -m mlem store: unrecognized arguments: --json -"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments: list[str], words: str, capsys: Capture) -> None:
    assert told(capsys, *arguments) == (2, "", f"{words}\n")


def test_an_unknown_experiment_is_told_what_there_is(capsys: Capture) -> None:
    status, out, err = told(capsys, "rase")
    assert (status, out) == (2, "")
    assert is_one_line(err)
    assert "invalid choice: 'rase'" in err
    assert "'race'" in err


@every
def test_no_text_ends_in_a_traceback(name: str, capsys: Capture) -> None:
    for field in experiment.get(name).params.specs():
        for text in ("x", "", "nan", "-1e999", "1e999", "\0", "🎲", "-5", "9" * 400, "[1]"):
            status, out, err = told(capsys, name, f"--{to_key(field)}={text}", "--seed=-1")  # refused before any work starts
            assert (status, out) == (2, "")
            assert is_one_line(err)


def test_a_target_that_cannot_be_met_is_told_in_one_line(capsys: Capture) -> None:
    status, out, err = told(capsys, "race", "--sde", "ornstein-uhlenbeck", "--levels", "1", "--epsilon", "0.1")
    assert (status, out) == (2, "")
    assert is_one_line(err)
    assert "epsilon takes a number ≥" in err


def test_a_run_that_blows_up_is_told_in_one_line(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def blow_up(*_: object) -> None:
        raise NonFiniteStep(step=3, time=0.25, level=2, path=7, weight=9.0)

    monkeypatch.setattr(hierarchy, "_errors", blow_up)
    status, out, err = told(capsys, "hierarchy", *QUICK["hierarchy"])
    assert (status, out) == (2, "")
    assert is_one_line(err)
    assert err.startswith("python -m mlem hierarchy: step 3 (t = 0.25) is not finite: level 2")


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_a_file_that_cannot_be_written_is_told_after_the_result(option: str, capsys: Capture, tmp_path: Path) -> None:
    where = tmp_path / "nowhere" / "result"
    status, out, err = told(capsys, "coin", *QUICK["coin"], option, str(where))
    assert status == 2
    assert err == f"python -m mlem coin: cannot write {where}: No such file or directory\n"
    assert "draws average" in out  # what was computed is not lost


# ── interruption, progress, threads


def test_an_interruption_is_no_traceback(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hierarchy, "_errors", interrupt)
    status, out, err = told(capsys, "hierarchy", *QUICK["hierarchy"])
    assert (status, out) == (130, "")
    assert err == "interrupted\n"


def test_progress_goes_to_a_terminal_alone(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(capsys, "coin", *QUICK["coin"])[2] == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    status, out, err = told(capsys, "coin", *QUICK["coin"])
    assert status == 0
    assert "█" not in out
    assert err.count("\r") >= 3
    assert err.endswith("100%\n")
    assert err.count("\n") == 1
    assert all(len(bar) <= 60 for bar in err.split("\r"))


def test_one_thread_is_used(capsys: Capture) -> None:
    told(capsys, "coin", *QUICK["coin"])
    assert torch.get_num_threads() == 1


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    root = Path(mlem.__file__).parent.parent
    return subprocess.run([sys.executable, "-m", "mlem", *arguments], cwd=root, capture_output=True, text=True, **options)


def test_it_is_a_module_that_is_run() -> None:
    done = run("coin", *QUICK["coin"], "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["experiment"] == "coin"
    done = run("coin", "--levels", "99")
    assert (done.returncode, done.stdout) == (2, "")
    assert is_one_line(done.stderr)


def test_a_reader_that_goes_away_is_no_error() -> None:
    root = Path(mlem.__file__).parent.parent
    line = f"{sys.executable} -m mlem coin --json - --draws 10 | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_race_tells_how_good_it_is(capsys: Capture) -> None:
    """The landing page's twin: counts as expected, both methods near the target."""
    _, out, _ = told(capsys, "race", *QUICK["race"], "--json", "-")
    result = json.loads(out)["result"]
    assert result["speedup"]["low"] <= result["speedup"]["value"] <= result["speedup"]["high"]
    for method in ("em", "mlem"):
        assert max(map(abs, result[method]["z"])) < 5
        assert math.isfinite(np.log(result[method]["rmse"]["value"] / 0.1))
    assert race.RaceParams(**json.loads(out)["params"]).epsilon == 0.1
