"""Secrets: found wherever they hide, and nothing else is."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detui.engine.secrets import redacted, redacted_text

DETUI = str(Path(sys.executable).with_name("detui"))
S = "sw0rdf1sh"


@pytest.mark.parametrize(
    "text",
    [
        f"python train.py --token {S}",
        f"python train.py --api-key={S} --epochs 3",
        f"WANDB_API_KEY={S} python train.py",
        f"https://user:{S}@host/path?x=1",
        f"git clone ssh://{S}@host/x.git",
        f"https://host/?a=1&access_key={S}&b=2",
        f"env:\n  HF_TOKEN: {S}\n  X: 1",
        f'{{"password": "{S}"}}',
        f"env.secret={S}",
        f"--password '{S}'",
    ],
)
def test_a_secret_in_a_text(text: str) -> None:
    clean = redacted_text(text)
    assert S not in clean and "***" in clean
    assert redacted_text(clean) == clean


@pytest.mark.parametrize(
    "token", ["ghp_" + "a1" * 18, "hf_" + "Ab" * 17, "sk-" + "x9" * 20, "AKIAABCDEFGHIJKLMNOP", "glpat-" + "a" * 20]
)
def test_tokens_that_are_known_by_their_look(token: str) -> None:
    assert redacted({"note": f"use {token}, please"}) == {"note": "use ***, please"}


@pytest.mark.parametrize(
    "value",
    [
        {"tokenizer": "bert", "num_tokens": 300, "token_dim": "x", "author": "A. N. Other", "lr": 0.1},
        {"train": {"lr0": 0.01, "name": "yolo12n"}, "keys": ["a", "b"]},
        "detui run starter/mosaic --set train.lr0=0.1 --note 'the key to it: patience'",
        "https://host/path?x=1",
        "a key=value pair, and tokens: many",
        ["--tokens", "300"],
    ],
)
def test_what_is_no_secret_stays(value: Any) -> None:
    assert redacted(value) == value


def test_at_any_depth_and_in_commands() -> None:
    given = {"arms": [{"config": {"env": {"API_KEY": S, "N": "1"}, "command": ["x", "--auth-token", S, "y"]}}]}
    found = redacted(given)
    assert S not in json.dumps(found)
    assert found["arms"][0]["config"] == {"env": {"API_KEY": "***", "N": "1"},
                                          "command": ["x", "--auth-token", "***", "y"]}  # fmt: skip


RECIPE = """\
schema: 1
title: a program with a secret
question: does it stay one?
backend: command
base:
  command: ["{python}", -c, "import os, sys; assert os.environ['MY_TOKEN'] == sys.argv[2]", --password, SECRET]
  env: {MY_TOKEN: SECRET, PLAIN: seen}
  epochs: 1
  train: {api_key: SECRET, lr: 0.1}
arms: {only: {}}
seeds: [0]
"""


def test_no_secret_in_anything_that_is_shown(tmp_path: Path) -> None:
    """The program gets its secret; the plan, the record and `--json` do not, nor does the environment get anywhere."""
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(RECIPE.replace("SECRET", S))
    environ = {**os.environ, "HOME": str(tmp_path), "DETUI_LEASES": str(tmp_path / "leases"),
               "WANDB_API_KEY": "in-the-environment-9"}  # fmt: skip
    workspace = tmp_path / "logs"

    def detui(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [DETUI, "--workspace", str(workspace), *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)

    done = detui("run", str(recipe), "--devices", "cpu", "--yes", "--note", f"see https://me:{S}@host/")
    assert done.returncode in (0, 1), done.stderr
    (experiment,) = [path for path in workspace.iterdir() if not path.name.startswith(".")]
    assert "finished" in detui("ls", "last").stdout, "the program had its secret"
    shown = [done.stdout, done.stderr]
    for arguments in (["ls", "--json"], ["show", str(recipe), "--plan", "--json"], ["show", str(recipe), "--plan"],
                      ["record", "show", "last"], ["tail", "last", "--json"], ["tail", "last"]):  # fmt: skip
        answer = detui(*arguments)
        assert answer.returncode == 0, answer.stderr
        shown.append(answer.stdout + answer.stderr)
    for path in experiment.iterdir():
        if path.is_file():
            shown.append(path.read_text(errors="replace"))
    for text in shown:
        assert S not in text
    everything = [path.read_text(errors="replace") for path in experiment.rglob("*") if path.is_file()]
    assert not [text for text in everything if "in-the-environment-9" in text], "the environment is written nowhere"
    kept = [path for path in experiment.rglob("*") if path.is_file() and S in path.read_text(errors="replace")]
    assert stat.S_IMODE(experiment.stat().st_mode) == 0o700, "what must keep it is this user's alone"
    assert {path.name for path in kept} <= {"spec.json", "config.json", "metrics.jsonl", "console.log"}
