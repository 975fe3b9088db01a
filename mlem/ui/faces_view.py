"""What the Faces page looks at: a sample, the unit in which all runs are priced, and what is measured of the networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from jaxtyping import Float

from mlem.experiments import faces, faces_store, sample
from mlem.experiments.faces import UNITS, FacesParams, FacesResult
from mlem.experiments.faces_store import Measured
from mlem.experiments.params import choice
from mlem.experiments.sample import SampleParams
from mlem.experiments.sample_store import Film
from mlem.frontier import Envelope
from mlem.images.pilot import Plan
from mlem.images.process import GFLOP
from mlem.ui import faces_figures, faces_words


@dataclass(frozen=True)
class FacesView(SampleParams):
    """A sample, and how the curves below it are priced."""

    unit: str = choice("flops", choices=UNITS, label="Price", help="In which the curves below are drawn: counted or measured.")

    def sample(self) -> SampleParams:
        """What has to be drawn."""
        return SampleParams(**{name: getattr(self, name) for name in SampleParams.specs()})


def costs(params: SampleParams, films: Mapping[str, Film]) -> Float[np.ndarray, " levels"] | None:
    """GFLOP of one evaluation by level; None where that is known of no network yet."""
    for film in films.values():
        return film.costs
    told = faces_store.manifest() if params.ladder == "shipped" else None
    return np.array([level.flops / GFLOP for level in told.levels]) if told else None


def plan(params: SampleParams, costs: Float[np.ndarray, " levels"] | None) -> Plan | None:
    """ML-EM's levels and p_k(t_n); None where they take a pilot that is not stored."""
    if costs is None or (params.firing != "bernoulli" and _stored(params) is None):
        return None
    return sample.planned(params, costs)


def measurement(params: SampleParams) -> FacesResult | None:
    """What is stored about the networks of ``params``."""
    found = _stored(params)
    return _judged(params.process, found.hashes, found) if found else None


def curves(result: FacesResult, unit: str) -> dict[str, Envelope]:
    """The cheapest way of each method to an error."""
    return _curves(result.measured.process, result.measured.hashes, unit, result)


def show(sheet: Path, costs: Float[np.ndarray, " levels"] | None) -> None:
    """The sheet of sample pictures, with what it shows."""
    said = faces_words.samples(len(costs) if costs is not None else 0)
    st.image(sheet.read_bytes(), caption=said, alt=said, width="stretch")


def _stored(params: SampleParams) -> Measured | None:
    return faces_store.load(FacesParams(process=params.process)) if params.ladder == "shipped" else None


@st.cache_resource(max_entries=8, show_spinner=False)
def _judged(process: str, hashes: tuple[str, ...], _measured: Measured) -> FacesResult:
    return faces.judge(_measured)


@st.cache_resource(max_entries=16, show_spinner=False)
def _curves(process: str, hashes: tuple[str, ...], unit: str, _result: FacesResult) -> dict[str, Envelope]:
    return faces_figures.frontiers(_result, unit)
