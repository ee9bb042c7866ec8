"""A foreign interpreter sees detui's standard-library part and nothing else of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from detui.engine import backends
from detui.engine.configuration import Configuration
from detui.engine.environment import interpreter, link_package
from detui.engine.errors import MissingError


def configured(tmp_path: Path, text: str) -> Configuration:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return Configuration.load(environ={"DETUI_CONFIG": str(file)})


def test_own_environment_needs_no_links(tmp_path: Path) -> None:
    found = interpreter("detui", "ultralytics", configured(tmp_path, ""), tmp_path)
    assert (found.python, found.pythonpath) == (sys.executable, ())


def test_a_bare_interpreter_imports_the_worker_through_links(hostile_path: Path) -> None:
    configuration = configured(hostile_path, f"environments: {{bare: '{sys.executable}'}}\n")
    found = interpreter("bare", "command", configuration, hostile_path / "links")
    code = (
        "import sys; import detui.engine.worker.reporter, detui.engine.run.history, detui.engine.errors;"
        "import importlib.util as u; print(u.find_spec('detui.engine.recipe'), u.find_spec('numpy'))"
    )
    # -S: no site-packages; the path is given by hand because -I would ignore PYTHONPATH.
    done = subprocess.run(
        [found.python, "-S", "-c", code], env={"PYTHONPATH": found.pythonpath[0]}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["None", "None"]


def test_links_are_made_once_and_lead_to_this_detui(tmp_path: Path) -> None:
    root = link_package("ultralytics", tmp_path)
    links = [path for path in root.rglob("*") if path.is_symlink()]
    assert {link.name for link in links} == {"run", "worker", "errors.py", "ultralytics", "torch_support"}
    inodes = [link.lstat().st_ino for link in links]
    assert link_package("ultralytics", tmp_path) == root
    assert [link.lstat().st_ino for link in links] == inodes
    stale = root / "detui/engine/run"
    for elsewhere in (tmp_path, Path("/gone/with/the/old/version")):
        stale.unlink()
        stale.symlink_to(elsewhere)
        link_package("ultralytics", tmp_path)
        assert (stale / "spec.py").is_file()
    assert len([path for path in root.rglob("*") if path.is_symlink()]) == len(links)


def test_packages_of_other_backends_are_seen_where_they_are_used(tmp_path: Path) -> None:
    for folder in Path(backends.__file__).parent.iterdir():
        used = set()
        for path in folder.rglob("*.py"):
            used |= set(re.findall(r"^\s*from detui\.engine\.backends\.(\w+)\.", path.read_text(), re.M))
        root = link_package(folder.name, tmp_path) / "detui/engine/backends"
        if folder.name in {"command", "torch_support"} or not used:
            continue  # a program of the user's sees nothing of ours, and torch_support is everybody's
        assert used <= {one.name for one in root.iterdir()}, folder.name


def test_an_environment_that_is_not_configured_says_where_to_add_it(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no environment 'ours'") as caught:
        interpreter("ours", "mmdet", configured(tmp_path, ""), tmp_path)
    assert "config.yaml" in str(caught.value.hint)


def test_an_interpreter_that_is_gone_names_its_setting(tmp_path: Path) -> None:
    configuration = configured(tmp_path, "environments:\n  mmdet: /nowhere/python\n")
    with pytest.raises(MissingError, match="/nowhere/python") as caught:
        interpreter("mmdet", "mmdet", configuration, tmp_path)
    assert str(caught.value.where).endswith("config.yaml:2:3")
