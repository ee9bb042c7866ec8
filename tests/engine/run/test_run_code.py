"""Which code a process imports, told without running git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from detui.engine.run.code import head_commit, running_code, tree_hash


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(["git", "-C", str(folder), *named, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(hostile_path: Path) -> Path:
    hostile_path.mkdir(exist_ok=True)
    git(hostile_path, "init", "--quiet")
    git(hostile_path, "commit", "--quiet", "--allow-empty", "-m", "one")
    return hostile_path


def test_the_commit_is_what_git_says(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert head_commit(repository) == head
    git(repository, "pack-refs", "--all")
    assert head_commit(repository) == head, "a branch in packed-refs"
    git(repository, "checkout", "--quiet", "--detach")
    assert head_commit(repository) == head, "no branch at all"
    beside = repository.parent / "beside"
    git(repository, "worktree", "add", "--quiet", "-b", "other", str(beside))
    git(beside, "commit", "--quiet", "--allow-empty", "-m", "two")
    assert head_commit(beside) == git(beside, "rev-parse", "HEAD") != head, "a linked work tree"


def test_no_repository_has_no_commit(tmp_path: Path) -> None:
    assert head_commit(tmp_path) is None
    (tmp_path / ".git").mkdir()
    assert head_commit(tmp_path) is None


def test_the_hash_follows_names_and_contents(tmp_path: Path) -> None:
    assert tree_hash(tmp_path) is None
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").write_text("x = 1")
    first = tree_hash(tmp_path)
    (tmp_path / "note.txt").write_text("no code")
    assert first and tree_hash(tmp_path) == first
    (tmp_path / "sub" / "a.py").write_text("x = 2")
    second = tree_hash(tmp_path)
    (tmp_path / "sub" / "a.py").rename(tmp_path / "sub" / "b.py")
    assert len({first, second, tree_hash(tmp_path)}) == 3


def test_the_launch_and_the_worker_tell_the_same_of_the_same_code() -> None:
    from detui.engine.provenance import code_facts

    told, launch = running_code(), code_facts().facts()
    assert told["tree"] == launch["tree"] and told["version"] == launch["version"]
