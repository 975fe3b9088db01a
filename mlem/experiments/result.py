"""Results of experiments: numbers with their uncertainty, saved as JSON and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

import mlem
from mlem.checks import check_choice
from mlem.experiments.params import Params

P = TypeVar("P", bound=Params)

Row: TypeAlias = dict[str, float | int | str]
"""One line of a table; its keys are the columns' names."""


@dataclass(frozen=True)
class Result:
    """Base of all results: a frozen dataclass of numbers, arrays and estimates. Fields marked :func:`unexported` are for
    pictures and stay out of the export."""

    def rows(self) -> list[Row]:
        """The result as a table."""
        raise NotImplementedError

    def summary(self) -> str:
        """What was found, in a sentence or two made from the numbers."""
        raise NotImplementedError


def unexported() -> Any:
    """A field of a result that is not written to JSON."""
    return dataclasses.field(repr=False, metadata={"export": False})


def to_json(experiment: str, params: Params, result: Result) -> str:
    """The export: experiment, params, result and version. The same params give the same numbers again, seconds aside."""
    content = {
        "experiment": experiment,
        "params": dataclasses.asdict(params),
        "result": plain(result),
        "version": mlem.__version__,
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


SAME = 1e-5
"""Numbers that differ by less than this, relatively, are the same: stored errors have but seven digits, and processors round
differently."""


def from_json(experiment: str, kind: type[P], text: str) -> tuple[P, dict[str, Any], str]:
    """What :func:`to_json` wrote: params, the plain result, and the version. Raises ValueError for any other text."""
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    keys = ("experiment", "params", "result", "version")
    if not isinstance(content, dict) or not all(key in content for key in keys) or not isinstance(content["params"], dict):
        raise ValueError(f"an export of this command takes JSON with {', '.join(keys)}, got something else")
    if content["experiment"] != experiment:
        raise ValueError(f"an export of {experiment} is taken, got one of {content['experiment']!r}")
    specs = kind.specs()
    for name in content["params"]:
        check_choice("parameter", name, tuple(specs))
    params = kind(**{name: specs[name].check(name, value) for name, value in content["params"].items()})
    return params, content["result"], str(content["version"])


def differences(before: Any, after: Any, where: str = "result") -> list[str]:
    """What is not the same in two plain results, in words; measured seconds always differ and are passed over."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in before | after if "seconds" not in key]
        found = [differences(before.get(key), after.get(key), f"{where}.{key}") for key in keys]
        return [words for several in found for words in several]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [words for n, (one, other) in pairs for words in differences(one, other, f"{where}[{n}]")]
    numbers = all(isinstance(value, int | float) for value in (before, after))
    if before == after or (numbers and math.isclose(before, after, rel_tol=SAME, abs_tol=1e-12)):
        return []
    return [f"{where} was {before}, is {after}"]


def plain(value: object) -> Any:
    """``value`` as JSON knows it: dataclasses as objects, arrays as lists, what is not finite as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field for field in dataclasses.fields(value) if field.metadata.get("export", True)]
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def to_csv(rows: Sequence[Row]) -> str:
    """A table as CSV with a header; nothing where there are no rows."""
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_text(rows: Sequence[Row]) -> str:
    """A table for a terminal: numbers to the right, with 4 significant digits or more; nothing where there are no rows."""
    if not rows:
        return ""
    cells = [[*rows[0]]] + [[digits(v) if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    numeric = [not isinstance(value, str) for value in rows[0].values()]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(c.rjust(w) if right else c.ljust(w) for c, w, right in zip(line, widths, numeric, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join(lines)


def digits(value: float) -> str:
    """A number with 4 significant digits, or more where it is large and can be written out."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:,.4g}"


def write_arrays(file: Path, arrays: Mapping[str, Any]) -> None:
    """``arrays`` as a compressed file of NumPy's, that is there whole or not at all."""
    with (beside := file.with_suffix(".writing")).open("wb") as target:
        np.savez_compressed(target, **arrays)
    beside.replace(file)


def write(text: str, target: str | Path) -> None:
    """``text`` to a file, in UTF-8."""
    Path(target).write_text(text, encoding="utf-8")
