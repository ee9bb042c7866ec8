"""The environment `mmdet` as its pins make it, and the operators that MMDetection gets in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detui.engine.configuration import Configuration
from detui.engine.environment import interpreter
from detui.engine.environment.pin_file import SHIPPED, read_pins
from detui.engine.run.lines import read_lines

if TYPE_CHECKING:
    from made_environments import Made

torch = pytest.importorskip("torch", reason="needs the extra `torch`")

pytestmark = pytest.mark.slow

OPERATORS = """
import json, torch
from detui.engine.backends.mmdet import ops
FIRST
used = ops.ensure_ops()
import mmdet.models, mmdet.datasets.transforms
from mmcv.ops import RoIAlign, batched_nms, sigmoid_focal_loss
from detui.engine.errors import RunError

generator = torch.Generator().manual_seed(0)
low = torch.rand(300, 2, generator=generator) * 80
boxes = torch.cat([low, low + 1 + torch.rand(300, 2, generator=generator) * 30], dim=1)
scores, classes = torch.rand(300, generator=generator), torch.arange(300) % 3
kept = batched_nms(boxes, scores, classes, dict(type="nms", iou_threshold=0.5))[1]
features = torch.randn(2, 4, 30, 40, generator=generator).requires_grad_()
rois = torch.cat([(torch.arange(300) % 2)[:, None].float(), boxes], dim=1)
pooled = RoIAlign((7, 5), 0.25, 0, aligned=True)(features, rois)
pooled.square().sum().backward()
try:
    sigmoid_focal_loss(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), 2.0, 0.25, None, "mean")
    absent = "worked"
except RunError as error:
    absent = str(error)
print(json.dumps([used, kept.tolist(), pooled.tolist(), features.grad.tolist(), absent]))
"""
PLACED = """
import mmcv
from detui.engine.backends.mmdet import ops
mmcv.__path__.append({folder!r})
used = ops.ensure_ops()
import mmcv.ops
print(used)
"""
RIGHT = """
from detui.engine.backends.mmdet.ops import _plain_nms as nms, _plain_forward as roi_align_forward

def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return print
"""
WRONG = RIGHT + "def nms(boxes, scores, iou_threshold, offset):\n    return scores.argsort(descending=True)\n"


def in_environment(code: str, bridge: Path, *packages: str) -> subprocess.CompletedProcess[str]:
    """Run it as a worker would: in the environment, with what a worker sees of detui.

    `packages`: folders of packages that win over the environment's.
    """
    configuration = Configuration.load(environ={"DETUI_CONFIG": str(bridge / "none.yaml")})
    found = interpreter("mmdet", "mmdet", configuration, bridge)
    environ = {
        **os.environ,
        **found.environ,
        "PYTHONPATH": ":".join([*packages, *found.pythonpath]),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run([found.python, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_it_is_made_as_pinned(mmdet_made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    pins = read_pins(SHIPPED / "mmdet.yaml")
    note: Mapping[str, Any] = json.loads((mmdet_made.python.parent.parent / "environment.json").read_text())
    assert {name: version.partition("+")[0] for name, version in note["packages"].items()} == pins.packages
    assert pins.hash == note["pins"] and mmdet_made.seconds > 0
    with capsys.disabled():
        when = "now" if mmdet_made.new else "earlier"
        print(f"\nmmdet, made {when} in {mmdet_made.seconds} s: {mmdet_made.bytes >> 20} MiB")


def answers(code: str, bridge: Path, *packages: str) -> list[Any]:
    """The last line that it prints, as JSON."""
    said: list[Any] = json.loads(in_environment(code, bridge, *packages).stdout.splitlines()[-1])
    return said


def agrees(said: list[Any]) -> None:
    """What OPERATORS printed is what this process computes."""
    from detui.engine.backends.torch_support.plain_operators import Pooling, nms, roi_align, roi_align_gradient

    _, said_kept, said_pooled, said_gradient, absent = said
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(300, 2, generator=generator) * 80
    boxes = torch.cat([low, low + 1 + torch.rand(300, 2, generator=generator) * 30], dim=1)
    scores, classes = torch.rand(300, generator=generator), torch.arange(300) % 3
    each = [torch.arange(300)[classes == c][nms(boxes[classes == c], scores[classes == c], 0.5)] for c in range(3)]
    kept = torch.cat(each)
    assert said_kept == kept[scores[kept].argsort(descending=True)].tolist()
    features = torch.randn(2, 4, 30, 40, generator=generator)
    rois, asked = torch.cat([(torch.arange(300) % 2)[:, None].float(), boxes], dim=1), Pooling(7, 5, 0.25)
    pooled = roi_align(features, rois, asked)
    assert torch.allclose(torch.tensor(said_pooled), pooled, atol=1e-5)
    gradient = roi_align_gradient(2 * pooled, rois, tuple(features.shape), asked)
    assert torch.allclose(torch.tensor(said_gradient), gradient, atol=1e-4)
    assert "'sigmoid_focal_loss_forward'" in absent and "mmdet-cuda" in absent


def test_operators_are_the_same_whoever_gives_them(mmdet_environment: Path, tmp_path: Path) -> None:
    """Those that the environment chooses, those of plain torch where that is not the choice, and this process's."""
    chosen = answers(OPERATORS.replace("FIRST", ""), tmp_path)
    assert chosen[0] in ("torchvision", "plain torch")
    agrees(chosen)
    if chosen[0] == "torchvision":
        forced = answers(OPERATORS.replace("FIRST", 'ops.place("plain torch")'), tmp_path)
        assert forced[0] == "plain torch"
        agrees(forced)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("_ext.py", RIGHT, None),
        ("_ext.py", WRONG, "give [2, 1, 0]"),
        ("_ext.abi3.so", "not one", "_ext.abi3.so"),
    ],
    ids=["works", "answers wrongly", "does not load"],
)
def test_an_extension_is_used_where_it_works(
    mmdet_environment: Path, tmp_path: Path, name: str, content: str, reason: str | None
) -> None:
    (tmp_path / name).write_text(content)
    done = in_environment(PLACED.format(folder=str(tmp_path)), tmp_path)
    assert (done.stdout.strip() == "compiled") == (reason is None)
    assert reason is None or reason in done.stderr


def test_upstreams_releases_get_the_same_and_train(mmdet_environment: Path, tmp_path: Path) -> None:
    """Those of the pins of mmdet-upstream, laid over the environment: what differs between the two but for imgaug."""
    pins = read_pins(SHIPPED / "mmdet-upstream.yaml").packages
    names = [f"{name}=={pins[name]}" for name in ("mmdet", "mmengine", "mmcv-lite")]
    over = str(tmp_path / "upstream")
    pip = [sys.executable, "-m", "pip", "--python", str(mmdet_environment)]
    done = subprocess.run(
        [*pip, "install", "--no-deps", "--target", over, *names], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot install upstream's releases: {done.stderr.strip().splitlines()[-1]}")
    versions = "import mmengine, pkg_resources\nprint(json.dumps([mmdet.__version__, mmengine.__version__]))"
    code = OPERATORS.replace("FIRST", "") + versions
    *_, found, last = in_environment(code, tmp_path, over).stdout.splitlines()
    assert json.loads(last) == [pins["mmdet"], pins["mmengine"]]
    agrees(json.loads(found))
    path = os.pathsep.join(filter(None, (over, os.environ.get("PYTHONPATH"))))
    run = [str(Path(sys.executable).with_name("detui")), "run", "finetune/check", "--profile", "smoke", "--yes"]
    done = subprocess.run(
        run, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (lines,) = tmp_path.glob("logs/finetune.check-*/runs/coco-s0/attempts/1/metrics.jsonl")
    begun = next(line for line in read_lines(lines) if line["kind"] == "begin")
    assert {name: begun["packages"][name] for name in ("mmdet", "mmengine")} == {
        "mmdet": pins["mmdet"], "mmengine": pins["mmengine"],
    }  # fmt: skip
    judged = [*read_lines(lines.with_name("evaluations.jsonl"))]
    assert [line["epoch"] for line in judged] == [1, 2] and "val/mask_AP" in judged[-1]["values"]
