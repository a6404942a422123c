"""The frozen networks fit their contract, answer well on drives they never saw, and load only when nothing differs."""

from __future__ import annotations

import itertools
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lab import contract as contracts
from lab.contract import Contract, Network
from lab.custody import sha256_file
from lab.drive import dataset
from lab.drive.build import CLASSES
from lab.drive.bursts import LENS_SPREAD
from lab.drive.dataset import Pairs
from lab.drive.motion import OUTPUT_UNITS
from lab.drive.training import class_iou, pose_r2
from lab.errors import ContractError, CustodyError, DigestMismatch
from lab.evaluator import networks
from lab.evaluator.preprocess import posenet_input, segnet_input, to_planes
from lab.video import frames

UNSEEN_SEEDS = range(7_700_000, 7_700_016)


@pytest.fixture(scope="module")
def minidrive() -> Contract:
    """The shipped contract."""
    return contracts.load("minidrive")


@pytest.fixture(scope="module")
def nets(minidrive: Contract) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Its two frozen networks."""
    return networks.load(minidrive)


@pytest.fixture(scope="module")
def unseen() -> Pairs:
    """Sixteen drives that no build trains on."""
    return dataset.paint_pairs(UNSEEN_SEEDS, (192, 256), lens_spread=LENS_SPREAD)


def test_shapes_and_sizes(nets: tuple[torch.nn.Module, torch.nn.Module]) -> None:
    segnet, posenet = nets
    assert segnet(torch.rand(2, 3, 192, 256) * 255).shape == (2, 5, 192, 256)
    assert posenet(torch.randn(2, 12, 96, 128)).shape == (2, 12)
    for net in nets:
        assert 60_000 <= sum(weight.numel() for weight in net.parameters()) <= 200_000
        assert not net.training
        assert not any(weight.requires_grad for weight in net.parameters())
        assert all(weight.dtype == torch.float32 for weight in net.parameters())
        assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in net.modules())


def test_files_are_those_of_the_contract(minidrive: Contract) -> None:
    assert minidrive.classes == CLASSES
    assert (minidrive.frame_size, minidrive.model_size, minidrive.n_pairs) == ((437, 582), (192, 256), 150)
    assert minidrive.source_path.stat().st_size == minidrive.source.bytes
    assert sha256_file(minidrive.source_path) == minidrive.source.sha256
    for name in ("segnet", "posenet"):
        assert sha256_file(minidrive.weights_path(name)) == minidrive.networks[name].sha256


def test_recorded_figures_meet_the_bars(minidrive: Contract) -> None:
    made = tomllib.loads((minidrive.root / contracts.FILE_NAME).read_text(encoding="utf-8"))["made"]
    assert min(made["held_out_pairs"], made["held_out_motion_pairs"]) >= 200
    assert made["mean_iou"] >= 0.80
    assert made["pose_r2"]["forward_m_s"] >= 0.9
    assert made["pose_r2"]["yaw_deg_s"] >= 0.9


def test_unseen_drives_are_read_well(nets: tuple[torch.nn.Module, torch.nn.Module], unseen: Pairs) -> None:
    segnet, posenet = nets
    iou = class_iou(segnet, unseen)
    r2, rmse = pose_r2(posenet, unseen)
    assert iou.mean() > 0.72
    assert iou.argmin() == CLASSES.index("lane line")  # thin things are the hardest
    assert iou[[0, 2, 4]].min() > 0.85  # class order: road, undrivable and own car are large and easy
    # Sixteen drives scatter widely; the slow test has two hundred.
    assert r2[0] > 0.8
    assert r2[1] > 0.75
    assert rmse[0] < 4.5


@pytest.mark.slow
def test_two_hundred_unseen_drives_meet_the_bars(nets: tuple[torch.nn.Module, torch.nn.Module]) -> None:
    drives = [range(first, first + 50) for first in (8_800_000, 8_800_100, 8_800_200, 8_800_300)]
    parts = [dataset.paint_pairs(seeds, (192, 256), lens_spread=LENS_SPREAD) for seeds in drives]
    many = Pairs(
        frames=np.concatenate([part.frames for part in parts]),
        classes=np.concatenate([part.classes for part in parts]),
        poses=np.concatenate([part.poses for part in parts]),
    )
    segnet, posenet = nets
    r2, _ = pose_r2(posenet, many)
    assert class_iou(segnet, many).mean() >= 0.80
    assert r2[0] >= 0.9
    assert r2[1] >= 0.9


def test_motion_is_read_from_both_frames(nets: tuple[torch.nn.Module, torch.nn.Module], unseen: Pairs) -> None:
    """The same two pictures in one order and standing still: look alone does not give speed."""
    _, posenet = nets
    fast = unseen.frames[unseen.poses[:, 0] > 15.0]
    moving = posenet(posenet_input(to_planes(torch.from_numpy(fast)), (192, 256)))[:, 0]
    standing = posenet(posenet_input(to_planes(torch.from_numpy(fast[:, [0, 0]])), (192, 256)))[:, 0]
    assert standing.mean() < 0.35 * moving.mean()


def test_mirrored_pictures_turn_the_other_way(nets: tuple[torch.nn.Module, torch.nn.Module], unseen: Pairs) -> None:
    _, posenet = nets
    turning = unseen.frames[np.abs(unseen.poses[:, 1]) > 2.5]
    assert len(turning) >= 5
    seen, flipped = (
        posenet(posenet_input(to_planes(torch.from_numpy(np.ascontiguousarray(view))), (192, 256)))
        for view in (turning, turning[:, :, :, ::-1])
    )
    signs = torch.tensor((*networks.MIRROR_SIGNS, *([1.0] * networks.N_SCORED)))
    assert float(seen[:, 1].abs().mean()) > 1.0
    assert torch.allclose(seen, flipped * signs, atol=1e-4)


def test_pose_gradient_reaches_the_pixels_of_both_frames(nets: tuple[torch.nn.Module, torch.nn.Module]) -> None:
    segnet, posenet = nets
    pixels = (torch.rand(1, 2, 3, 437, 582) * 255).requires_grad_()
    posenet(posenet_input(pixels, (192, 256)))[:, :6].square().sum().backward()
    assert pixels.grad is not None
    for frame in range(2):
        assert float(pixels.grad[0, frame].abs().sum()) > 0.0
    pixels.grad = None
    segnet(segnet_input(pixels, (192, 256)))[:, 1].sum().backward()
    assert float(pixels.grad[0, 1].abs().sum()) > 0.0
    assert float(pixels.grad[0, 0].abs().sum()) == 0.0  # the semantic network sees the last frame only


def test_pose_answers_do_not_follow_exposure(nets: tuple[torch.nn.Module, torch.nn.Module], unseen: Pairs) -> None:
    _, posenet = nets
    planes = to_planes(torch.from_numpy(unseen.frames[::4])) * 0.6 + 30.0
    first = posenet(posenet_input(planes, (192, 256)))[:, 0]
    second = posenet(posenet_input(planes * 0.85 + 12.0, (192, 256)))[:, 0]
    assert float((first - second).abs().mean()) * OUTPUT_UNITS[0] < 1.0


def test_folding_keeps_every_answer() -> None:
    torch.manual_seed(0)
    for build, shape in ((networks.SmallSegNet, (2, 3, 32, 48)), (networks.SmallPoseNet, (4, 12, 96, 128))):
        trained = build(norm=True)
        trained.train()
        for _ in range(3):
            trained(torch.randn(shape) * 40)
        trained.eval()
        plain = build()
        plain.load_state_dict(networks.fold(trained.state_dict()))
        x = torch.randn(shape) * 40
        assert torch.allclose(plain.eval()(x), trained(x), atol=2e-4, rtol=1e-4)


def test_answers_on_a_real_road_are_not_degenerate(nets: tuple[torch.nn.Module, torch.nn.Module], shared: Path) -> None:
    segnet, posenet = nets
    classes, poses = [], []
    with torch.no_grad():
        for pair in frames.read_pairs(shared / "clips" / "solid_white_right.mp4", n_pairs=24):
            planes = to_planes(torch.from_numpy(pair)[None])
            for moment in (planes[:, [0, 0]], planes):
                classes.append(segnet(segnet_input(moment, (192, 256))).argmax(1)[0].numpy())
            poses.append(posenet(posenet_input(planes, (192, 256)))[0, :6].numpy())
    share = np.bincount(np.stack(classes).ravel(), minlength=5) / np.stack(classes).size
    flips = np.mean([(a != b).mean() for a, b in itertools.pairwise(classes)])
    assert (share > 0.02).sum() >= 3
    assert flips < 0.05
    assert np.median(np.array(poses)[:, 0]) * OUTPUT_UNITS[0] > 5.0  # the car on that motorway moves


def copy_of(minidrive: Contract, folder: Path, **changed: object) -> Contract:
    """The contract in a folder of its own, one network changed."""
    for name in ("segnet", "posenet"):
        shutil.copy(minidrive.weights_path(name), folder)
    segnet = replace(minidrive.networks["segnet"], **changed)  # type: ignore[arg-type]
    return replace(minidrive, root=folder, networks={**minidrive.networks, "segnet": segnet})


def test_changed_weights_are_refused(minidrive: Contract, tmp_path: Path) -> None:
    changed = copy_of(minidrive, tmp_path)
    path = tmp_path / "segnet.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(DigestMismatch, match="segnet of contract"):
        networks.load(changed)


def test_missing_weights_are_named(minidrive: Contract, tmp_path: Path) -> None:
    changed = copy_of(minidrive, tmp_path)
    (tmp_path / "segnet.safetensors").unlink()
    with pytest.raises(CustodyError, match=r"segnet\.safetensors"):
        networks.load(changed)


@pytest.mark.parametrize(
    "factory",
    ["no_such_package:net", "lab.evaluator.networks:nothing", "lab.evaluator.networks", "lab.contract:FILE_NAME"],
)
def test_a_factory_that_cannot_be_called_is_named(minidrive: Contract, tmp_path: Path, factory: str) -> None:
    with pytest.raises(ContractError, match="factory"):
        networks.load(copy_of(minidrive, tmp_path, factory=factory))


def test_weights_of_another_architecture_are_refused(minidrive: Contract, tmp_path: Path) -> None:
    wrong = copy_of(minidrive, tmp_path, factory="lab.evaluator.networks:small_posenet")
    with pytest.raises(ContractError, match="small_posenet"):
        networks.load(wrong)


def test_a_network_of_the_users_own_loads_by_its_path(
    minidrive: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_networks.py").write_text(
        "from lab.evaluator.networks import SmallSegNet\n\n\ndef mine():\n    return SmallSegNet()\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    own = copy_of(minidrive, tmp_path, factory="own_networks:mine")
    assert isinstance(own.networks["segnet"], Network)
    assert networks.load(own)[0](torch.zeros(1, 3, 192, 256)).shape == (1, 5, 192, 256)
