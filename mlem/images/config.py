"""The config.json of a UNet: every value is bounded before anything is built from it, and nothing else is taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from mlem.checks import check_choice, check_integer, check_number
from mlem.images.files import short

if TYPE_CHECKING:
    from diffusers import UNet2DModel

FILE = "config.json"

_CLASS = "UNet2DModel"
_MOST_DEPTH = 8
_MOST_ATTENDING = 64  # pixels along an edge where attention is taken: its work grows with their fourth power
_MOST_PARAMETERS = 500_000_000

_Check: TypeAlias = Callable[[str, Any], Any]
"""(name, value) -> the value, as :mod:`mlem.checks` has them."""


def _integer(*, low: int = 1, high: int) -> _Check:
    return partial(check_integer, low=low, high=high)


def _number(*, low: float, high: float) -> _Check:
    return partial(check_number, low=low, high=high)


def _or_none(check: _Check) -> _Check:
    return lambda name, value: None if value is None else check(name, value)


def _each(check: _Check) -> _Check:
    """A list of one to eight, one for each depth."""

    def checked(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= _MOST_DEPTH:
            raise ValueError(f"{name} takes a list of 1 to {_MOST_DEPTH}, got {short(value)}")
        return tuple(check(name, one) for one in value)

    return checked


def _one_of(*choices: Any) -> _Check:
    def checked(name: str, value: Any) -> Any:
        if not isinstance(value, str | bool | None):  # a list cannot be looked up, and 1 is no True
            raise ValueError(f"{name} takes one of {', '.join(map(str, choices))}, got {short(value)}")
        return check_choice(name, value, choices)

    return checked


_DOWN, _UP, _MIDDLE = ("DownBlock2D", "AttnDownBlock2D"), ("UpBlock2D", "AttnUpBlock2D"), "UNetMidBlock2D"

_CHECKS: dict[str, _Check] = {
    "sample_size": _integer(high=1024),
    "in_channels": _integer(high=3 * 16**2),
    "out_channels": _integer(high=3 * 16**2),
    "center_input_sample": _one_of(False),
    "time_embedding_type": _one_of("positional"),
    "time_embedding_dim": _or_none(_integer(high=8192)),
    "freq_shift": _number(low=0.0, high=1.0),
    "flip_sin_to_cos": _one_of(True, False),
    "down_block_types": _each(_one_of(*_DOWN)),
    "mid_block_type": _one_of(_MIDDLE, None),
    "up_block_types": _each(_one_of(*_UP)),
    "block_out_channels": _each(_integer(high=2048)),
    "layers_per_block": _integer(high=8),
    "mid_block_scale_factor": _number(low=0.01, high=100.0),
    "downsample_padding": _integer(low=0, high=1),
    "downsample_type": _one_of("conv", "resnet"),
    "upsample_type": _one_of("conv", "resnet"),
    "dropout": _number(low=0.0, high=1.0),
    "act_fn": _one_of("silu", "swish", "mish", "gelu", "relu"),
    "attention_head_dim": _or_none(_integer(high=2048)),
    "norm_num_groups": _integer(high=512),
    "attn_norm_num_groups": _or_none(_integer(high=512)),
    "norm_eps": _number(low=1e-12, high=1.0),
    "resnet_time_scale_shift": _one_of("default", "scale_shift"),
    "add_attention": _one_of(True, False),
    "class_embed_type": _one_of(None),
    "num_class_embeds": _one_of(None),
    "num_train_timesteps": _or_none(_integer(high=1000)),
}


def to_json(body: UNet2DModel) -> str:
    """The config.json of a network. Raises ValueError for what could not be read back."""
    values = _checked(json.loads(json.dumps({name: body.config[name] for name in _CHECKS})))
    return json.dumps({"_class_name": _CLASS} | values, indent=2) + "\n"


def to_body(config: dict[str, Any], name: str) -> UNet2DModel:
    """The network that a config describes, on the meta device: its shapes without its numbers.

    Raises ValueError, which calls the file ``name``, for another class, an unknown parameter, a value out of bounds, and values
    that do not fit together.
    """
    if (found := config.get("_class_name")) != _CLASS:
        raise ValueError(f"{name} takes _class_name {_CLASS}, got {short(found)}; networks of other classes are not loaded")
    try:
        values = _checked({key: value for key, value in config.items() if not key.startswith("_")})
        _check_fit(values)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    from diffusers import UNet2DModel  # takes seconds: for those who need a network

    with torch.device("meta"):
        body = UNet2DModel(**values)
    count = sum(p.numel() for p in body.parameters())
    if count > _MOST_PARAMETERS:
        raise ValueError(f"{name} takes a network of at most {_MOST_PARAMETERS:,} parameters, got {count:,}")
    return body


def _checked(config: dict[str, Any]) -> dict[str, Any]:
    for key in config:
        if key not in _CHECKS:
            raise ValueError(f"{_CLASS} has no parameter {short(key)}")
    for key in ("sample_size", "block_out_channels", "down_block_types", "up_block_types"):
        if key not in config:
            raise ValueError(f"{key} is not there")
    return {key: _CHECKS[key](key, value) for key, value in config.items()}


def _check_fit(config: dict[str, Any]) -> None:
    channels, size = config["block_out_channels"], config["sample_size"]
    depth, groups, head = len(channels), config.get("norm_num_groups", 32), config.get("attention_head_dim", 8)
    for name in ("down_block_types", "up_block_types"):
        if len(config[name]) != depth:
            raise ValueError(f"{name} takes {depth} names, as block_out_channels has numbers, got {len(config[name])}")
    if size % (1 << (depth - 1)):
        raise ValueError(f"sample_size takes a multiple of {1 << (depth - 1)} for {depth} depths, got {size}")
    if uneven := [n for n in channels if n % groups]:
        raise ValueError(f"block_out_channels takes multiples of norm_num_groups, {groups}, got {uneven[0]}")
    if channels[0] % 2:
        raise ValueError(f"block_out_channels takes an even first number, which the time is told in, got {channels[0]}")
    for at, edge in _attending(config):
        if edge > _MOST_ATTENDING:
            raise ValueError(f"attention takes at most {_MOST_ATTENDING} pixels along an edge, got {edge} at depth {at + 1}")
        if head is not None and channels[at] % head:
            raise ValueError(f"attention_head_dim takes a divisor of the {channels[at]} channels at depth {at + 1}, got {head}")
        attending = config.get("attn_norm_num_groups")
        if attending is not None and channels[at] % attending:
            raise ValueError(f"attn_norm_num_groups takes a divisor of the {channels[at]} channels, got {attending}")


def _attending(config: dict[str, Any]) -> list[tuple[int, int]]:
    """Depths with attention, and the pixels along an edge there."""
    size, depth = config["sample_size"], len(config["block_out_channels"])
    down = [n for n, name in enumerate(config["down_block_types"]) if name == "AttnDownBlock2D"]
    up = [depth - 1 - n for n, name in enumerate(config["up_block_types"]) if name == "AttnUpBlock2D"]
    middle = config.get("mid_block_type", _MIDDLE) and config.get("add_attention", True)
    return [(at, size >> at) for at in sorted({*down, *up, *([depth - 1] if middle else [])})]
