"""``python -m mlem EXPERIMENT [--option value …] [--from FILE] [--json FILE|-] [--csv FILE]``: every page's headless twin.

``python -m mlem plans``, ``store``, ``answers`` and ``store-faces`` rebuild what ships with the package: plans for races,
finished sweeps, results of presets, and what the shipped networks were measured to do; ``time-faces`` takes only the seconds of
the latter anew.
``python -m mlem bench app`` measures the app itself; ``python -m mlem train`` trains a ladder of networks.
Progress goes to stderr, the result to stdout. Exit status 0; 1 where ``--from`` finds other numbers; 2 for bad input,
told in one line; 130 when interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import chain
from pathlib import Path

import torch

import mlem
from mlem.errors import NonFiniteStep
from mlem.experiments import answers, experiment, measured, plans, sample_store, steps, store
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Spec, in_words, to_key
from mlem.experiments.result import differences, from_json, plain, to_csv, to_json, to_text, write
from mlem.terminal import BAD_INPUT, INTERRUPTED, OTHER_NUMBERS, Help, Parser, show, whole_line

_APP = ("bench", "app")  # all else but "answers" works where Streamlit is not installed
_TRAIN = "train"
_REBUILDS = {
    "plans": (plans.rebuild,),
    "store": (measured.rebuild, store.rebuild, steps.rebuild),
    "store-faces": (sample_store.rebuild,),
    "time-faces": (sample_store.retime,),
    "answers": (lambda: answers.rebuild(list(import_module("mlem.ui.presets").asked_first())),),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = Parser(prog="python -m mlem", description=mlem.__doc__)
    parser.add_argument(
        "experiment", choices=(*experiment.NAMES, *_REBUILDS, _TRAIN), help="what to run; each has its own --help"
    )
    parser.add_argument("--version", action="version", version=mlem.__version__)
    name = parser.parse_args(arguments[:1]).experiment
    torch.set_num_threads(1)  # the states are small: a second thread costs more than it brings
    try:
        if name in _REBUILDS:
            parser = Parser(prog=f"python -m mlem {name}", description="Rebuilds what ships with the package.")
            parser.parse_args(arguments[1:])
            return _rebuild(chain.from_iterable(rebuild() for rebuild in _REBUILDS[name]))
        if tuple(arguments[:2]) == _APP:
            return _run(import_module("mlem.ui.bench").EXPERIMENT, arguments[2:])
        if name == _TRAIN:
            return int(import_module("mlem.experiments.train").main(arguments[1:]))
        return _run(experiment.get(name), arguments[1:])
    except (ValueError, NonFiniteStep) as error:
        print(f"python -m mlem {name}: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:  # whoever reads the output, head for one, has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"python -m mlem {name}: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(chosen: Experiment, arguments: Sequence[str]) -> int:
    given = vars(_options(chosen).parse_args(arguments))
    json_file, csv_file, opened = given.pop("json"), given.pop("csv"), given.pop("from")
    texts = {name: text for name, text in given.items() if text is not None}
    if opened:
        if texts:
            raise ValueError(f"--from takes all parameters from its file, got {to_key(next(iter(texts)))} besides")
        params, before, version = from_json(chosen.name, chosen.params, _read(opened))
    else:
        params = chosen.params.parse(texts)
    with _bar():
        result = chosen.run(params, show)
    export, rows = to_json(chosen.name, params, result), result.rows()
    print(export if json_file == "-" else f"{to_text(rows)}\n\n{result.summary()}", flush=True)
    if json_file and json_file != "-":
        write(export, json_file)
    if csv_file:
        write(to_csv(rows), csv_file)
    return _compared(differences(before, plain(result)), opened, version) if opened else 0


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--from takes a file that can be read, got {file}: {error}") from None


def _compared(found: Sequence[str], file: str, version: str) -> int:
    """Tells whether a run gave what its file holds; returns the exit status."""
    if not found:
        print(f"the same numbers as in {file}", file=sys.stderr)
        return 0
    which = f"of version {version}" if version != mlem.__version__ else "of this version too"
    print(f"{len(found)} numbers are others than in {file}, which is {which}; the first: {found[0]}", file=sys.stderr)
    return OTHER_NUMBERS


def _options(chosen: Experiment) -> argparse.ArgumentParser:
    parser = Parser(prog=f"python -m mlem {chosen.name}", description=chosen.question, formatter_class=Help, allow_abbrev=False)
    for field in dataclasses.fields(chosen.params):
        spec = field.metadata["spec"]
        text = f"{spec.label}. {spec.help} {_takes(spec, field.default)}".replace("%", "%%")
        parser.add_argument(f"--{to_key(field.name)}", dest=field.name, metavar=spec.kind.upper(), help=text)
    again = (
        "compute again what --json or a page wrote there; tell whether the numbers are the same (exit status 1: they are not)"
    )
    parser.add_argument("--from", metavar="FILE", help=again)
    parser.add_argument("--json", metavar="FILE", help="write params, result and version as JSON; - for standard output")
    parser.add_argument("--csv", metavar="FILE", help="write the table as CSV")
    return parser


def _takes(spec: Spec, default: object) -> str:
    takes = f"One of: {', '.join(spec.choices)}." if spec.choices else f"From {spec.low:g} to {spec.high:g}."
    return f"{takes} Default: {in_words(default)}."


@contextmanager
def _bar() -> Iterator[None]:
    """A bar that is full in the end, and its line ended however far it came."""
    with whole_line():
        yield
        show(1.0)


def _rebuild(progress: Iterator[float]) -> int:
    with _bar():
        for done in progress:
            show(done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
