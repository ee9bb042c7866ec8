"""Files of weights as files: what names promise, what is found without loading, and taking one in."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from detui.engine.errors import DetuiError, MissingError, RunError, UsageError
from detui.engine.weight_files import add_file, check_sum, form_of, promised

EMPTY = b"\x80\x02}q\x00."
"""A pickle of an empty dictionary: the old format is four of them, and what comes after is tensors."""
CONTENT = 4 * EMPTY + b"weights" * 100
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(hostile_path: Path) -> Path:
    path = hostile_path / "fetched" / f"net-{DIGEST[:8]}.pth"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("mask_rcnn_r50_fpn_1x_coco_20200205-d4b0c5d6.pth", "d4b0c5d6"),
        ("folder/resnet50-0676ba61.pth", "0676ba61"),
        ("resnet50_a1_0-14fe96d1.safetensors", "14fe96d1"),
        ("model-20200205.pth", None),  # a date
        ("yolo11n.pt", None),
        ("net-0676ba61b.pth", None),
        ("net-0676ba6.pth", None),
        ("net-0676BA61.pth", None),
    ],
)
def test_digits_in_names(name: str, digits: str | None) -> None:
    assert promised(name) == digits


def test_a_sum_is_held_against_recipe_and_names(file: Path) -> None:
    assert check_sum(file, [file.name], DIGEST, "model.sha256") == DIGEST
    with pytest.raises(RunError, match=r"not the one that the recipe names") as caught:
        check_sum(file, [], "0" * 64, "model.sha256")
    assert DIGEST in caught.value.message and "model.sha256" in str(caught.value.hint)
    with pytest.raises(RunError, match=r"net-00000000\.pth says .* cut off, or another file"):
        check_sum(file, ["net-00000000.pth"], None, "model.sha256")
    file.write_bytes(CONTENT[:-1])
    with pytest.raises(RunError, match="cut off, or another"):
        check_sum(file, ["logical.pth"], None, "model.sha256")
    other = hashlib.sha256(file.read_bytes()).hexdigest()
    assert check_sum(file, [], other, "model.sha256") == other, "what the recipe says goes before what names say"


def test_a_pickle_is_looked_at_and_not_run(tmp_path: Path) -> None:
    class Dangerous:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "made"),)

    path = tmp_path / "bad.pth"
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps(Dangerous(), protocol=protocol))
        assert form_of(path).endswith("it names posix.mkdir")
    assert not (tmp_path / "made").exists()
    path.write_bytes(b"<html>")
    with pytest.raises(RunError, match="no checkpoint"):
        form_of(path)


@pytest.mark.parametrize("packed", [True, False])
def test_the_form_of_torchs_files(tmp_path: Path, packed: bool) -> None:
    import torch

    path = tmp_path / "one.pth"
    torch.save({"state_dict": {"a": torch.zeros(3)}}, path, _use_new_zipfile_serialization=packed)
    assert form_of(path) == f"torch, {'zip archive' if packed else 'the format before 1.6'}: tensors alone"
    torch.save(torch.nn.Linear(2, 2), path, _use_new_zipfile_serialization=packed)
    assert "it names torch.nn.modules.linear.Linear" in form_of(path)
    if packed:
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(RunError, match="cut off"):
            form_of(path)


def test_adding_is_whole_and_can_be_repeated(file: Path, hostile_path: Path) -> None:
    folder = hostile_path / "not" / "there yet"
    first, again = add_file(file, folder), add_file(file, folder)
    assert (first.path, first.sha256, first.new, again.new) == (folder / file.name, DIGEST, True, False)
    assert first.path.read_bytes() == CONTENT and left(folder) == [file.name]
    file.write_bytes(b"changed later")
    assert first.path.read_bytes() == CONTENT
    assert add_file(first.path, folder).new is False


def test_another_file_of_the_name_stays(file: Path, hostile_path: Path) -> None:
    folder = hostile_path / "weights"
    add_file(file, folder, "net.pth", DIGEST[:10].upper())
    file.write_bytes(4 * EMPTY + b"other")
    with pytest.raises(RunError, match="cut off, or another"):
        add_file(file, folder, "net.pth")  # its own name promises something else
    file = file.rename(file.with_name("other.pth"))
    with pytest.raises(RunError, match="Another file has this name") as caught:
        add_file(file, folder, "net.pth")
    assert "--force" in str(caught.value.hint) and (folder / "net.pth").read_bytes() == CONTENT
    assert add_file(file, folder, "net.pth", force=True).new
    assert (folder / "net.pth").read_bytes() == 4 * EMPTY + b"other" and left(folder) == ["net.pth"]


@pytest.mark.parametrize(
    ("name", "wanted", "kind", "words"),
    [("../net.pth", None, UsageError, "is a path"), ("net-12345678.pth", None, RunError, "begins with 12345678"),
     ("net.pth", "12345678", RunError, "not the one that is wanted"), ("taken", None, RunError, "A folder has")],
)  # fmt: skip
def test_what_is_refused_leaves_nothing(
    file: Path, hostile_path: Path, name: str, wanted: str | None, kind: type[DetuiError], words: str
) -> None:
    folder = hostile_path / "weights"
    (folder / "taken").mkdir(parents=True)
    with pytest.raises(kind, match=words):
        add_file(file, folder, name, wanted)
    assert left(folder) == ["taken"]
    with pytest.raises(MissingError, match="There is no file"):
        add_file(file.with_name("absent.pth"), folder)
    with pytest.raises(UsageError, match="a folder, and a file is wanted"):
        add_file(file.parent, folder)
    page = file.with_name("page.pth")
    page.write_bytes(b"<html>not found</html>")
    with pytest.raises(RunError, match="no checkpoint"):
        add_file(page, folder)
    assert left(folder) == ["taken"]


def test_a_full_disk_leaves_nothing(file: Path, hostile_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hostile_path / "weights"

    def full(source: Any, out: Any, length: int) -> None:
        out.write(source.read(10))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        with pytest.raises(RunError, match="No space left"):
            add_file(file, folder)
    assert left(folder) == []


def test_a_file_that_changes_meanwhile_is_not_taken(
    file: Path, hostile_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, copy = hostile_path / "weights", shutil.copyfileobj

    def growing(source: Any, out: Any, length: int) -> None:
        copy(source, out, length)
        out.write(b"more")

    monkeypatch.setattr(shutil, "copyfileobj", growing)
    with pytest.raises(RunError, match="changed while it was copied"):
        add_file(file, folder)
    assert left(folder) == []
