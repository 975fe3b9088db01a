"""Ladders on disk: what is saved comes back, and every way of being wrong is told in a sentence of its own."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from diffusers import UNet2DModel
from huggingface_hub.errors import RepositoryNotFoundError
from safetensors.torch import load_file, save, save_file

import mlem
from mlem.images import hub
from mlem.images.card import CELEBA, CELEBA_TERMS, Data, card
from mlem.images.checkpoint import SHIPPED, load_ladder, save_ladder
from mlem.images.diffusion import Schedule
from mlem.images.network import Denoiser, Shape, flops, parameters
from tests.images.tiny import SHAPES, ladder

ROOT = Path(mlem.__file__).parent.parent
WEIGHTS = "diffusion_pytorch_model.safetensors"
FOLDERS = ["level-1", "level-2", "level-3"]


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ladder of three levels; not to be changed."""
    folder = tmp_path_factory.mktemp("saved") / "ladder"
    save_ladder(folder, "tiny", [(level.name, level.denoiser, level.training) for level in ladder().levels])
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A ladder to be damaged."""
    return shutil.copytree(saved, tmp_path / "ladder")


def plain(at: Path, *, channels: int = 4, **scheduler: object) -> Path:
    """A DDPM checkpoint as diffusers saves a pipeline: unet/ and scheduler/."""
    network(channels).save_pretrained(at / "unet")
    (at / "scheduler").mkdir()
    (at / "scheduler" / "scheduler_config.json").write_text(json.dumps({"_class_name": "DDPMScheduler"} | scheduler))
    return at


def network(channels: int = 4) -> UNet2DModel:
    return UNet2DModel(
        sample_size=8,
        block_out_channels=(channels, channels),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=2,
        attention_head_dim=4,
    )


def refusal(source: Path | str) -> str:
    """The sentence with which a ladder is refused."""
    with pytest.raises(ValueError, match=r".") as error:
        load_ladder(source)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence


# ── what is saved comes back


def test_a_ladder_comes_back(saved: Path) -> None:
    found, original = load_ladder(saved), ladder()
    assert (found.name, found.size, found.schedule) == ("tiny", 16, Schedule())
    assert [level.name for level in found.levels] == FOLDERS
    y = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for level, before in zip(found.levels, original.levels, strict=True):
        assert (level.flops, level.parameters, level.training) == (before.flops, before.parameters, before.training)
        halved = {name: w.half().float() for name, w in before.denoiser.body.state_dict().items()}
        assert all(torch.equal(w, halved[name]) for name, w in level.denoiser.body.state_dict().items())
        torch.testing.assert_close(level.denoiser(y, 0.5), before.denoiser(y, 0.5), rtol=1e-2, atol=1e-2)
        assert level.sha256 == hashlib.sha256((saved / level.name / WEIGHTS).read_bytes()).hexdigest()
        assert not level.denoiser.training
        assert {(p.dtype, p.requires_grad) for p in level.denoiser.parameters()} == {(torch.float32, False)}
        assert level.denoiser.body.conv_in.weight.is_contiguous(memory_format=torch.channels_last)


def test_saving_what_was_loaded_changes_nothing(saved: Path, tmp_path: Path) -> None:
    """Shipping a ladder is loading and saving it."""
    found = load_ladder(saved)
    save_ladder(tmp_path / "again", found.name, [(level.name, level.denoiser, level.training) for level in found.levels])
    for path in saved.rglob("*"):
        again = tmp_path / "again" / path.relative_to(saved)
        assert path.is_dir() or path.read_bytes() == again.read_bytes()


def test_weights_are_in_half_precision_and_readable_by_all(saved: Path) -> None:
    path = saved / "level-3" / WEIGHTS
    assert {w.dtype for w in load_file(path).values()} == {torch.float16}
    assert path.stat().st_mode & 0o044 == 0o666 & ~current_umask() & 0o044


def current_umask() -> int:
    os.umask(mask := os.umask(0o022))
    return mask


def test_diffusers_reads_what_is_saved(saved: Path) -> None:
    body = UNet2DModel.from_pretrained(saved / "level-1", use_safetensors=True, local_files_only=True)
    expected = load_ladder(saved).levels[0].denoiser.body.state_dict()
    assert all(torch.equal(w, expected[name]) for name, w in body.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_all_dtypes_become_single(dtype: torch.dtype, folder: Path) -> None:
    path = folder / "level-1" / WEIGHTS
    save_file({name: w.to(dtype) for name, w in load_file(path).items()}, path)
    retell(folder, sha256=digest(path))
    assert {p.dtype for p in load_ladder(folder).levels[0].denoiser.parameters()} == {torch.float32}


def test_weights_on_disk_do_not_change_those_in_memory(folder: Path) -> None:
    """Single precision would else be a view of the file."""
    path = folder / "level-1" / WEIGHTS
    save_file({name: w.float() for name, w in load_file(path).items()}, path)
    retell(folder, sha256=digest(path))
    body = load_ladder(folder).levels[0].denoiser.body
    before = body.conv_in.weight.clone()
    with path.open("r+b") as file:
        file.seek(-4000, os.SEEK_END)
        file.write(b"\0" * 4000)
    assert torch.equal(body.conv_in.weight, before)


def test_the_device_is_the_one_asked_for(saved: Path, device: str) -> None:
    level = load_ladder(saved, device=device).levels[0]
    assert next(level.denoiser.parameters()).device.type == device
    assert level.denoiser(torch.zeros(1, 3, 16, 16, device=device), 1.0).device.type == device


# ── what cannot be saved


def test_levels_that_make_no_ladder_are_not_saved(tmp_path: Path) -> None:
    coarse, fine = ladder().levels[0].denoiser, ladder().levels[2].denoiser
    small = Denoiser(Shape(2, (4, 8), groups=2).body(8), Schedule(), patch=2)
    other = Denoiser(Shape(2, (4, 8), groups=2).body(16), Schedule(rho=3.0), patch=2)
    for levels, words in (
        ([("a", fine, None), ("b", coarse, None)], "from coarse to fine, each with more FLOPs"),
        ([("a", coarse, None), ("b", small, None)], "levels of one picture size, got 16 in a and 8 in b"),
        ([("a", coarse, None), ("b", other, None)], "one schedule"),
        ([], "one level or more"),
        ([("../a", coarse, None)], "folder takes a plain name"),
        ([("a", coarse, None), ("a", fine, None)], "each folder once"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            save_ladder(tmp_path / "new", "bad", levels)
        assert not (tmp_path / "new" / "ladder.json").exists()
    assert not list(tmp_path.glob("a"))


def test_weights_beyond_half_precision_are_not_saved(tmp_path: Path) -> None:
    huge = Denoiser(Shape(4, (4, 4), groups=2).body(16), Schedule(), patch=4)
    huge.body.conv_in.bias.data[0] = 1e6
    with pytest.raises(ValueError, match=r"conv_in\.bias takes weights within ±65,504"):
        save_ladder(tmp_path / "new", "huge", [("a", huge, None)])


# ── plain checkpoints of diffusers


def test_a_plain_ddpm_checkpoint_is_a_ladder_of_one(tmp_path: Path) -> None:
    found = load_ladder(plain(tmp_path / "ddpm", beta_start=0.0001, beta_end=0.02, prediction_type="epsilon"))
    level = found.levels[0]
    assert (found.name, found.size, level.name, level.denoiser.parametrisation, level.training) == (
        "ddpm",
        8,
        "ddpm",
        "epsilon",
        None,
    )
    assert (level.flops, level.parameters) == (flops(level.denoiser), parameters(level.denoiser.body))
    y = torch.randn(2, 3, 8, 8)
    expected = UNet2DModel.from_pretrained(tmp_path / "ddpm" / "unet")
    kept = Denoiser(expected, Schedule(), "epsilon").eval()
    with torch.no_grad():
        torch.testing.assert_close(level.denoiser(y, 0.5), kept(y, 0.5))


def test_a_network_alone_is_taken_as_ddpms(tmp_path: Path) -> None:
    network().save_pretrained(tmp_path / "alone")
    assert load_ladder(tmp_path / "alone").levels[0].name == "alone"


def test_plain_checkpoints_in_subfolders_are_ordered_by_their_work(tmp_path: Path) -> None:
    plain(tmp_path / "all" / "a-large", channels=8)
    plain(tmp_path / "all" / "small", channels=4)
    network(12).save_pretrained(tmp_path / "all" / "b-largest")
    (tmp_path / "all" / "samples").mkdir()
    assert [level.name for level in load_ladder(tmp_path / "all").levels] == ["small", "a-large", "b-largest"]


def test_attention_under_its_old_names_is_read(tmp_path: Path) -> None:
    """As in the checkpoints of the DDPM paper."""
    body, old = network(), {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    body.save_pretrained(tmp_path / "old")
    renamed = {}
    for name, w in body.state_dict().items():
        for new, before in old.items():
            name = name.replace(f".{new}.", f".{before}.")
        renamed[name] = w
    assert any(".query." in name for name in renamed)
    save_file(renamed, tmp_path / "old" / WEIGHTS)
    found = load_ladder(tmp_path / "old").levels[0].denoiser.body.state_dict()
    assert all(torch.equal(w, found[name]) for name, w in body.state_dict().items())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"prediction_type": "v_prediction"},
            "takes prediction_type epsilon, DDPM's, which is all that can be sampled here, got 'v_",
        ),
        ({"beta_schedule": "scaled_linear"}, "takes beta_schedule linear"),
        ({"beta_end": 0.012}, "takes beta_end 0.02"),
        ({"beta_start": 0.00085}, "takes beta_start 0.0001"),
        ({"num_train_timesteps": 4000}, "takes num_train_timesteps 1000"),
        ({"trained_betas": [0.1]}, "takes trained_betas None"),
        ({"rescale_betas_zero_snr": True}, "takes rescale_betas_zero_snr False"),
    ],
)
def test_another_noise_or_target_is_refused(changed: dict[str, object], words: str, tmp_path: Path) -> None:
    sentence = refusal(plain(tmp_path / "ddpm", **changed))
    assert sentence.startswith("scheduler/scheduler_config.json takes ")
    assert words in sentence


def test_a_scheduler_beside_the_network_is_read_too(tmp_path: Path) -> None:
    network().save_pretrained(tmp_path / "alone")
    (tmp_path / "alone" / "scheduler_config.json").write_text('{"beta_schedule": "squaredcos_cap_v2"}')
    assert refusal(tmp_path / "alone").startswith("scheduler_config.json takes beta_schedule linear")


# ── every way of being wrong


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def retell(at: Path, **changed: object) -> None:
    """Changes what ladder.json says of level 1."""
    told = json.loads((at / "ladder.json").read_text())
    told["levels"][0].update(changed)
    (at / "ladder.json").write_text(json.dumps(told))


def retell_all(folder: Path, **changed: object) -> None:
    """Changes what ladder.json says of the whole."""
    told = json.loads((folder / "ladder.json").read_text())
    (folder / "ladder.json").write_text(json.dumps(told | changed))


def reconfigure(folder: Path, **changed: object) -> None:
    """Changes level 1's config.json."""
    path = folder / "level-1" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def first(folder: Path) -> Path:
    return folder / "level-1" / WEIGHTS


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Changes level 1's tensors, and the hash in ladder.json with them."""
    tensors = load_file(first(folder))
    change(tensors)
    first(folder).write_bytes(save(tensors))
    retell(folder, sha256=digest(first(folder)))


def with_header(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the header of level 1's weights, and nothing else."""
    content = first(folder).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    spelt = json.dumps(header).encode()
    first(folder).write_bytes(len(spelt).to_bytes(8, "little") + spelt + content[8 + length :])


class Bomb:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def pickled(folder: Path, protocol: int) -> None:
    first(folder).write_bytes(pickle.dumps(Bomb(folder / "executed"), protocol=protocol))


def torch_saved(folder: Path) -> None:
    torch.save({"bomb": Bomb(folder / "executed")}, first(folder))


def only_a_pickle(folder: Path, ending: str) -> None:
    torch.save({"bomb": Bomb(folder / "executed")}, first(folder).with_name(f"diffusion_pytorch_model.{ending}"))
    first(folder).unlink()


def swap_levels(folder: Path) -> None:
    told = json.loads((folder / "ladder.json").read_text())
    told["levels"] = told["levels"][::-1]
    (folder / "ladder.json").write_text(json.dumps(told))


def link_out(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)


def other_size(folder: Path) -> None:
    """Level 1 for 8 × 8 pixels, all else as it should be."""
    body = SHAPES[0].body(8)
    patch = SHAPES[0].patch
    small = save_ladder(folder.parent / "small", "small", [("level-1", Denoiser(body, Schedule(), patch=patch), None)])
    shutil.rmtree(folder / "level-1")
    shutil.copytree(folder.parent / "small" / "level-1", folder / "level-1")
    retell(folder, sha256=small.levels[0].sha256)


def set_to(value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["conv_in.bias"][0] = value

    return change


def shift(tensor: str, by: int) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        header[tensor]["data_offsets"] = [offset + by for offset in header[tensor]["data_offsets"]]

    return change


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    # the weights' file
    "missing": (lambda f: first(f).unlink(), f"level-1 takes its weights as {WEIGHTS}, and has no such file"),
    "only .bin": (lambda f: only_a_pickle(f, "bin"), "got the pickle 'diffusion_pytorch_model.bin', which could run code"),
    "only .ckpt": (lambda f: only_a_pickle(f, "ckpt"), "got the pickle 'diffusion_pytorch_model.ckpt', which could run code"),
    "only .pt": (lambda f: only_a_pickle(f, "pt"), "got the pickle 'diffusion_pytorch_model.pt', which could run code"),
    "torch.save": (
        torch_saved,
        f"level-1/{WEIGHTS} takes a safetensors file, got a zip archive, which is how PyTorch keeps pickles",
    ),
    "pickle, protocol 5": (lambda f: pickled(f, 5), "takes a safetensors file, got a pickle by its first bytes"),
    "pickle, protocol 2": (lambda f: pickled(f, 2), "takes a safetensors file, got a pickle by its first bytes"),
    "pickle, protocol 0": (lambda f: pickled(f, 0), "takes a safetensors file, got something else by its first bytes"),
    "gzip": (lambda f: first(f).write_bytes(b"\x1f\x8b" + bytes(100)), "got a gzip archive by its first bytes"),
    "web page": (lambda f: first(f).write_bytes(b"<!DOCTYPE html><title>404</title>"), "got a web page by its first bytes"),
    "Git LFS": (lambda f: first(f).write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "got a pointer of Git LFS"),
    "empty": (lambda f: first(f).write_bytes(b""), "takes a safetensors file, got something else by its first bytes"),
    "truncated": (lambda f: first(f).write_bytes(first(f).read_bytes()[:-100]), "is cut short: its tensors take"),
    "cut in the header": (lambda f: first(f).write_bytes(first(f).read_bytes()[:1000]), "is cut short: its header takes"),
    "trailing bytes": (lambda f: first(f).write_bytes(first(f).read_bytes() + b"more"), "has 4 bytes after its last tensor"),
    "a header of 100 GB": (
        lambda f: first(f).write_bytes((100 << 30).to_bytes(8, "little") + b"{" + bytes(100)),
        "takes a header of at most 1048576 bytes, got one that claims 107374182400",
    ),
    "a header that is no JSON": (
        lambda f: first(f).write_bytes((50).to_bytes(8, "little") + b"{" * 100),
        f"the header of level-1/{WEIGHTS} takes a JSON object, got text that is none",
    ),
    "a header nested deeply": (
        lambda f: first(f).write_bytes((900_000).to_bytes(8, "little") + b'{"a":' * 180_000),
        "takes a JSON object, got one nested too deeply",
    ),
    "a header that says a thing twice": (
        lambda f: first(f).write_bytes((18).to_bytes(8, "little") + b'{"a": {}, "a": {}}'),
        "stands there twice",
    ),
    "an entry of another form": (lambda f: with_header(f, lambda h: h.update(more=[1])), "'more' in level-1/"),
    "offsets that overlap": (lambda f: with_header(f, shift("conv_in.weight", -8)), "offsets with a gap or an overlap"),
    "offsets that are no numbers": (
        lambda f: with_header(f, lambda h: h["conv_in.bias"].update(data_offsets=["a", 1e3])),
        "takes whole numbers ≥ 0 as shape and offsets",
    ),
    "a shape of 100 GB": (
        lambda f: with_header(f, lambda h: h["conv_in.bias"].update(shape=[50 << 30])),
        "'conv_in.bias' in level-1/diffusion_pytorch_model.safetensors takes 107374182400 bytes by its shape, got offsets of 8",
    ),
    "numbers of another kind": (
        lambda f: with_header(f, lambda h: h["conv_in.bias"].update(dtype="I64")),
        "takes numbers of F16, BF16, F32, got 'I64'",
    ),
    # the tensors
    "a tensor less": (
        lambda f: rewrite(f, lambda t: t.pop("conv_in.bias")),
        "tensors of its config.json; conv_in.bias is missing",
    ),
    "a tensor more": (
        lambda f: rewrite(f, lambda t: t.update(extra=torch.zeros(1))),
        "tensors of its config.json; 'extra' is none of them",
    ),
    "another shape": (
        lambda f: rewrite(f, lambda t: t.update({"conv_in.bias": torch.zeros(5)})),
        f"conv_in.bias in level-1/{WEIGHTS} takes the shape (4,) by its config.json, got (5,)",
    ),
    "NaN": (lambda f: rewrite(f, set_to(float("nan"))), f"conv_in.bias in level-1/{WEIGHTS} takes finite numbers"),
    "infinite": (lambda f: rewrite(f, set_to(float("inf"))), f"conv_in.bias in level-1/{WEIGHTS} takes finite numbers"),
    "another hash": (lambda f: retell(f, sha256="0" * 64), f"level-1/{WEIGHTS} takes the SHA-256 {'0' * 64} by ladder.json"),
    "a bit that flipped": (
        lambda f: first(f).write_bytes(first(f).read_bytes()[:-1] + b"\x01"),
        f"level-1/{WEIGHTS} takes the SHA-256",
    ),
    # config.json
    "no config": (lambda f: (f / "level-1" / "config.json").unlink(), "level-1/config.json is not there"),
    "a config that is no JSON": (
        lambda f: (f / "level-1" / "config.json").write_text("{"),
        "level-1/config.json takes a JSON object",
    ),
    "a config of 2 MB": (
        lambda f: reconfigure(f, act_fn="a" * (2 << 20)),
        "level-1/config.json takes at most 1048576 bytes, got 2097",
    ),
    "another class": (
        lambda f: reconfigure(f, _class_name="UNet2DConditionModel"),
        "level-1/config.json takes _class_name UNet2DModel, got 'UNet2DConditionModel'",
    ),
    "an unknown parameter": (lambda f: reconfigure(f, auto_map={"a": "b"}), "UNet2DModel has no parameter 'auto_map'"),
    "10⁹ layers": (
        lambda f: reconfigure(f, layers_per_block=10**9),
        "layers_per_block takes an integer from 1 to 8, got 1000000000",
    ),
    "10⁹ channels": (
        lambda f: reconfigure(f, block_out_channels=[10**9, 4]),
        "block_out_channels takes an integer from 1 to 2048, got 1000000000",
    ),
    "10⁹ depths": (lambda f: reconfigure(f, block_out_channels=[4] * 9), "block_out_channels takes a list of 1 to 8"),
    "10⁹ pixels": (lambda f: reconfigure(f, sample_size=10**9), "sample_size takes an integer from 1 to 1024, got 1000000000"),
    "too many parameters": (
        lambda f: reconfigure(f, block_out_channels=[2048, 2048], norm_num_groups=2, layers_per_block=8, attention_head_dim=4),
        "level-1/config.json takes a network of at most 500,000,000 parameters, got ",
    ),
    "blocks from elsewhere": (
        lambda f: reconfigure(f, down_block_types=["DownBlock2D", "SkipDownBlock2D"]),
        "down_block_types takes one of DownBlock2D, AttnDownBlock2D, got 'SkipDownBlock2D'",
    ),
    "depths that differ": (lambda f: reconfigure(f, up_block_types=["UpBlock2D"]), "up_block_types takes 2 names"),
    "channels and groups": (
        lambda f: reconfigure(f, norm_num_groups=3),
        "block_out_channels takes multiples of norm_num_groups, 3, got 4",
    ),
    "heads": (
        lambda f: reconfigure(f, attention_head_dim=3),
        "attention_head_dim takes a divisor of the 16 channels at depth 2, got 3",
    ),
    "wide attention": (
        lambda f: reconfigure(f, sample_size=256),
        "attention takes at most 64 pixels along an edge, got 128 at depth 2",
    ),
    "an odd size": (lambda f: reconfigure(f, sample_size=5), "sample_size takes a multiple of 2 for 2 depths, got 5"),
    "classes": (lambda f: reconfigure(f, num_class_embeds=10), "num_class_embeds takes one of None, got 10"),
    "True for a number": (
        lambda f: reconfigure(f, layers_per_block=True),
        "layers_per_block takes an integer from 1 to 8, got True",
    ),
    "grey pictures": (
        lambda f: reconfigure(f, in_channels=1, out_channels=1),
        "level-1/config.json takes 48 channels in and out, three colours of 4 × 4 pixels, got 1 in and 1 out",
    ),
    "another activation": (
        lambda f: reconfigure(f, act_fn="relu6"),
        "act_fn takes one of silu, swish, mish, gelu, relu, got 'relu6'",
    ),
    # ladder.json
    "no JSON": (lambda f: (f / "ladder.json").write_text("[1"), "ladder.json takes a JSON object, got text that is none"),
    "a list": (lambda f: (f / "ladder.json").write_text("[1]"), "ladder.json takes a JSON object, got [1]"),
    "not in UTF-8": (lambda f: (f / "ladder.json").write_bytes(b'{"a": "\xff"}'), "ladder.json takes a JSON object in UTF-8"),
    "infinite numbers": (lambda f: (f / "ladder.json").write_text('{"format": Infinity}'), "Infinity is no finite number"),
    "a number of 5,000 digits": (
        lambda f: (f / "ladder.json").write_text('{"a": ' + "9" * 5000 + "}"),
        "ladder.json takes a JSON object",
    ),
    "a later format": (lambda f: retell_all(f, format=2), "ladder.json takes format 1, got 2"),
    "no levels": (lambda f: retell_all(f, levels=[]), "ladder.json: levels takes a list of 1 to 16, got 0"),
    "levels that are none": (lambda f: retell_all(f, levels="all"), "ladder.json: levels takes a list of 1 to 16, got 'all'"),
    "too many levels": (
        lambda f: retell_all(f, levels=json.loads((f / "ladder.json").read_text())["levels"] * 9),
        "levels takes a list of 1 to 16, got 27",
    ),
    "one level twice": (
        lambda f: retell_all(f, levels=json.loads((f / "ladder.json").read_text())["levels"][:1] * 2),
        "ladder.json takes each folder once, got one twice",
    ),
    "an unknown field": (lambda f: retell_all(f, license="mine"), "'license' is unknown"),
    "no schedule": (lambda f: retell_all(f, schedule=None), "ladder.json: schedule takes an object with beta_low"),
    "half a schedule": (lambda f: retell_all(f, schedule={"rho": 7}), "'beta_high' is missing"),
    "a schedule that falls": (
        lambda f: retell_all(f, schedule={"beta_low": 1, "beta_high": 0.5, "sigma_low": 1, "sigma_high": 2, "rho": 7}),
        "ladder.json: schedule: beta_high takes a number ≥ 1, got 0.5",
    ),
    "another size": (lambda f: retell_all(f, size=32), "ladder.json takes networks for 32 pixels along an edge, got 16"),
    "a size in words": (lambda f: retell_all(f, size="16"), "ladder.json: size takes an integer from 4 to 1024, got '16'"),
    "no name": (lambda f: retell_all(f, name=""), "ladder.json: name takes a text of 1 to 200 characters, got ''"),
    "a folder above": (lambda f: retell(f, folder="../outside"), "ladder.json: level 1: folder takes a plain name"),
    "an absolute folder": (lambda f: retell(f, folder="/etc"), "ladder.json: level 1: folder takes a plain name"),
    "a folder that is not there": (lambda f: retell(f, folder="level-9"), "level-9/config.json is not there"),
    "another parametrisation": (
        lambda f: retell(f, parametrisation="v"),
        "parametrisation takes one of wiener, edm, epsilon, got 'v'",
    ),
    "another patch": (lambda f: retell(f, patch=2), "level-1/config.json takes 12 channels in and out"),
    "another number of parameters": (lambda f: retell(f, parameters=7), "takes a network of 7 parameters by ladder.json, got"),
    "a hash that is none": (lambda f: retell(f, sha256="abc"), "sha256 takes 64 digits, 0 to f, got 'abc'"),
    "a loss below zero": (
        lambda f: retell(f, training={"images": 1, "seconds": 1, "device": "x", "held_out": [[1, -1, 0]]}),
        "ladder.json: level 1: training: held_out takes a number ≥ 0, got -1",
    ),
    "a loss without error": (
        lambda f: retell(f, training={"images": 1, "seconds": 1, "device": "x", "held_out": [[1, 1]]}),
        "ladder.json: level 1: training: held_out takes a list of [σ, mean, standard error], got [[1, 1]]",
    ),
    "a training in words": (
        lambda f: retell(f, training="long"),
        "ladder.json: level 1: training takes an object with images, seconds",
    ),
    "a level in words": (lambda f: retell_all(f, levels=["level-1"]), "ladder.json: level 1 takes an object with folder"),
    "fine to coarse": (swap_levels, "a ladder takes levels from coarse to fine, each with more FLOPs than the one before, got"),
    "two sizes": (other_size, "ladder.json takes networks for 16 pixels along an edge, got 8"),
    # links
    "weights elsewhere": (lambda f: link_out(f, f"level-1/{WEIGHTS}"), "is a link that leads out of the ladder"),
    "a folder elsewhere": (lambda f: link_out(f, "level-1"), "level-1/config.json is a link that leads out of the ladder"),
    "ladder.json elsewhere": (lambda f: link_out(f, "ladder.json"), "ladder.json is a link that leads out of the ladder"),
}


@pytest.mark.parametrize("name", CASES)
def test_every_way_of_being_wrong_has_its_sentence(name: str, folder: Path) -> None:
    damage, words = CASES[name]
    damage(folder)
    assert words in refusal(folder)
    assert not (folder / "executed").exists()


def test_the_bomb_would_go_off(tmp_path: Path) -> None:
    """What is refused above would have run."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / "executed")))
    assert (tmp_path / "executed").exists()


def test_folders_that_hold_no_ladder(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "nowhere")
        == f"a ladder is a folder, or owner/name on the Hub; there is no folder {tmp_path / 'nowhere'}"
    )
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty") == "empty is no ladder: it has neither ladder.json nor folders with a config.json"
    torch.save({}, tmp_path / "empty" / "model.ckpt")
    assert "got the pickle 'model.ckpt', which could run code and is never opened" in refusal(tmp_path / "empty")


def test_folders_with_more_checkpoints_than_a_ladder_has_levels(tmp_path: Path) -> None:
    for n in range(17):
        (tmp_path / str(n)).mkdir()
        (tmp_path / str(n) / "config.json").write_text("{}")
    assert "a ladder takes 1 to 16 levels, got 17 folders" in refusal(tmp_path)


def test_links_within_the_ladder_are_followed(folder: Path) -> None:
    first(folder).rename(folder / "blob")
    first(folder).symlink_to(folder / "blob")
    assert load_ladder(folder).levels[0].name == "level-1"


# ── what ships


def test_the_shipped_ladder_is_tall_small_and_as_its_card_says() -> None:
    found = load_ladder(SHIPPED)
    costs = [level.flops for level in found.levels]
    assert len(costs) >= 5
    assert costs[0] < 0.02e9
    assert all(4.0 <= more / less <= 6.0 for less, more in pairwise(costs)), costs
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) <= 60_000_000
    told = json.loads((SHIPPED / "ladder.json").read_text(encoding="utf-8"))
    assert [level["flops"] for level in told["levels"]] == costs
    shipped, made = (SHIPPED / "README.md").read_text(encoding="utf-8"), card(found, Data(CELEBA, 9500, 500, CELEBA_TERMS))
    assert shipped.split("## Versions")[0] == made.split("## Versions")[0]


# ── memory

_MEASURE = """
import resource, sys
from pathlib import Path
import torch
from mlem.images.checkpoint import load_ladder

torch.set_num_threads(1)
folders = [Path(name) for name in sys.argv[1:]]
load_ladder(folders[0])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for folder in folders[1:]:
    try:
        load_ladder(folder)
    except ValueError as error:
        print(error)
    else:
        print("taken")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_stays_flat_where_more_is_claimed_than_is_there(saved: Path, tmp_path: Path) -> None:
    """Peak of a process of its own, in MB, over headers and tensors of 100 GB, a file that has them, and 10⁹ layers."""

    def sparse(folder: Path) -> None:
        """A tensor of 100 GB that the file holds: a hole of that size."""
        size = 100 << 30
        header = json.dumps({"conv_in.weight": {"dtype": "F16", "shape": [size // 2], "data_offsets": [0, size]}}).encode()
        with first(folder).open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + size)

    damages = [CASES["a header of 100 GB"][0], CASES["a shape of 100 GB"][0], CASES["10⁹ layers"][0], sparse]
    damages += [CASES["too many parameters"][0], CASES["a header nested deeply"][0]]
    folders = [saved]
    for n, damage in enumerate(damages):
        folders.append(shutil.copytree(saved, tmp_path / str(n)))
        damage(folders[-1])
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, *map(str, folders)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    *sentences, grown = run.stdout.splitlines()
    assert len(sentences) == len(damages)
    assert "taken" not in sentences
    assert float(grown) < 30.0


# ── the Hub


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, saved: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """Stands in for the Hub, which has the ladder as owner/tiny; keeps what it was asked for."""
    calls = list[dict[str, Any]]()
    cache = tmp_path / "models--owner--tiny"

    def snapshot_download(name: str, **options: Any) -> Any:
        calls.append({"name": name} | options)
        if name != "owner/tiny":
            raise RepositoryNotFoundError(
                "404 Client Error.\nRepository Not Found", response=SimpleNamespace(headers={}, request=None)
            )
        if options.get("dry_run"):
            return [
                SimpleNamespace(file_size=file.stat().st_size, commit_hash="c0")
                for file in saved.rglob("*.*")
                if file.is_file()
            ]
        for file in (
            file for file in saved.rglob("*") if file.is_file()
        ):  # links to blobs beside the snapshot, as in its cache
            blob, link = cache / "blobs" / digest(file), cache / "snapshots" / "c0" / file.relative_to(saved)
            for path in (blob, link):
                path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, blob)
            link.symlink_to(blob)
        return str(cache / "snapshots" / "c0")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setenv(hub.ALLOWED, "1")
    return calls


def test_a_ladder_comes_from_the_hub_where_it_is_allowed(asked: list[dict[str, Any]]) -> None:
    assert [level.name for level in load_ladder("owner/tiny").levels] == FOLDERS
    look, fetch = asked
    assert look["allow_patterns"] == fetch["allow_patterns"] == ["*.json", "*.safetensors", "README.md"]
    assert look["token"] is False is fetch["token"]
    assert (look["dry_run"], fetch["revision"]) == (True, "c0")


@pytest.mark.parametrize("value", [None, "0", "", "yes"])
def test_the_hub_is_closed_elsewhere(value: str | None, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hub.ALLOWED) if value is None else monkeypatch.setenv(hub.ALLOWED, value)
    sentence = refusal("owner/tiny")
    assert "only where the environment variable MLEM_HUB is 1, and never in a demo; set it, or give a folder" in sentence
    assert asked == []


def test_a_ladder_too_large_is_not_fetched(asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_MOST_BYTES", 1 << 10)
    assert "owner/tiny on the Hub takes at most" in refusal("owner/tiny")
    assert len(asked) == 1


def test_a_repository_that_is_not_there_is_told(asked: list[dict[str, Any]]) -> None:
    assert refusal("owner/nothing") == "owner/nothing could not be fetched from the Hub: 404 Client Error."


def test_a_link_out_of_the_hubs_cache_is_refused(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    load_ladder("owner/tiny")
    snapshot = tmp_path / "models--owner--tiny" / "snapshots" / "c0"
    (tmp_path / "elsewhere.json").write_bytes((snapshot / "ladder.json").read_bytes())
    (snapshot / "ladder.json").unlink()
    (snapshot / "ladder.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "fetch", lambda name: snapshot)
        assert "ladder.json is a link that leads out of the ladder" in refusal("owner/tiny")


@pytest.mark.parametrize("name", ["a/b/c", "../secret", "/etc", "owner", "-/ x", "https://example.org/a"])
def test_other_names_are_never_asked_for(name: str, asked: list[dict[str, Any]]) -> None:
    assert "there is no folder" in refusal(f"{name}-none")
    assert asked == []
