"""`detui data check` and `detui data depth` as commands: exit codes, streams, and messages without a traceback."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

RUN = "from detui.tui.main import main; main()"


@pytest.fixture
def site(make_site):
    """One path is enough here: each of these calls is a process of its own."""
    return make_site()


def detui(site, *arguments: object, code: str = RUN) -> subprocess.CompletedProcess[str]:
    environ = {**site.environ, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    words = [sys.executable, "-c", code, "data", *map(str, arguments)]
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60, check=False)


def with_maps(site, note: dict | None = None) -> None:
    site.yolo("1 0.5 0.5 0.2 0.25\n", depth={"encoding": "metres_x256", "far": 10.0})
    for name in ("train/a", "val/b"):
        path = site.root / f"depth/{name}.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.arange(8000, dtype=np.uint16).reshape(80, 100) // 4).save(path)
    if note is not None:
        site.write("depth/depth.json", json.dumps(note))


def test_check_looks_at_depth_where_there_is_any(site):
    site.yolo("1 0.5 0.5 0.2 0.25\n", depth={"encoding": "metres_x256", "far": 10.0})
    without = detui(site, "check", site.definition, "--json")
    assert json.loads(without.stdout)["depth"] is None
    assert detui(site, "check", site.definition, "--depth").returncode == 1
    note = {"encoding": "metres_x256", "model": {"name": "zoedepth-nyu", "weights": "0123456789abcdef"}}
    with_maps(site, note)
    found = detui(site, "check", site.definition, "--json")
    facts = json.loads(found.stdout)
    said = "ZoeDepth zoedepth-nyu (weights 0123456789ab), metres × 256"
    assert (found.returncode, facts["depth"]) == (0, {"encoding": "metres_x256", "far": 10.0, "note": said})
    assert facts["fingerprint"] != json.loads(without.stdout)["fingerprint"]
    (site.root / "depth/val/b.png").write_bytes(b"")
    broken = detui(site, "check", site.definition)
    assert broken.returncode == 1
    assert f"depth: metres_x256, far 10 m; {said}" in broken.stdout
    assert "broken_depth: 1, ERROR (depth map that is no readable image)" in broken.stdout
    assert "depth/val/b.png: it is no image that Pillow knows" in broken.stdout
    assert detui(site, "check", site.definition, "--no-depth").returncode == 0


def test_a_broken_note_is_said_and_stops_nothing(site):
    with_maps(site)
    site.write("depth/depth.json", "{")
    done = detui(site, "check", site.definition)
    assert done.returncode == 0
    assert "depth.json cannot be read" in done.stdout


def folder(site) -> str:
    for name, content in {"config.json": '{"model_type": "zoedepth"}', "preprocessor_config.json": "{}"}.items():
        path = site.home / "model" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return str(site.home / "model")


@pytest.mark.parametrize(
    ("fields", "words", "code", "text"),
    [
        ({}, ["--model", "nowhere"], 2, "its definition does not say where they lie"),
        ({"depth": {}}, [], 2, "--model"),
        ({"depth": {}}, ["--model", "nowhere"], 3, "There is no such folder"),
        ({"depth": {}}, ["--model", "MODEL"], 3, "lacks model.safetensors"),
        ({"depth": {}}, ["--model", "MODEL", "--encoding", "metres_x256"], 2, "says encoding: uint8"),
        ({"depth": {"far": 1.0}}, ["--model", "MODEL"], 2, "far is for metres_x256"),
    ],
)
def test_depth_refuses_with_a_message(site, fields, words, code, text):
    site.yolo("", **fields)
    model = folder(site)
    done = detui(site, "depth", site.definition, *[model if word == "MODEL" else word for word in words])
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_without_transformers_the_command_says_what_to_install(site):
    site.yolo("", depth={})
    code = f"import sys; sys.modules['transformers'] = None; {RUN}"
    done = detui(site, "depth", site.definition, "--model", folder(site), code=code)
    assert (done.returncode, done.stdout) == (3, "")
    assert "needs transformers" in done.stderr
    assert "pip install 'detui[depth]'" in done.stderr


def test_maps_of_another_maker(site):
    with_maps(site)
    model = folder(site)
    (site.home / "model/model.safetensors").write_bytes(b"weights")
    done = detui(site, "depth", site.definition, "--model", model)
    assert (done.returncode, done.stdout) == (2, "")
    assert "There are 2 depth maps already, and no depth.json says what made them" in done.stderr
    assert "--force" in done.stderr


def test_what_lists_data_sets_loads_nothing_heavy(site):
    code = f"import sys, atexit; atexit.register(lambda: print([m for m in sys.modules if m in H])); {RUN}"
    done = detui(site, "ls", code="H = {'numpy', 'torch', 'PIL', 'transformers', 'rich'}; " + code)
    assert done.stdout.strip().splitlines()[-1] == "[]"
