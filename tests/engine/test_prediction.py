"""Which checkpoints may be loaded, and what a task says that cannot be done. Real processes of the toy worker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from toy_runs import MakeRun, leases, make_run, until  # noqa: F401

from detui.engine.errors import MissingError, RunError, UsageError
from detui.engine.prediction import check_split, check_trust, find_checkpoint, predict
from detui.engine.process.borrow import Borrowed
from detui.engine.process.control import status
from detui.engine.process.launch import launch
from detui.engine.process.task import run_task
from detui.engine.run.directory import RunDir

CPU = Borrowed((), ())


def trained(make_run: MakeRun) -> RunDir:  # noqa: F811
    run = make_run({"seconds": 0})
    launch(run)
    until(lambda: status(run).state.terminal)
    return run


def data(folder: Path, *splits: str) -> dict[str, object]:
    for split in splits:
        (folder / f"{split}.json").write_text("{}")
    return {"prepared": str(folder), "classes": ["one"], "splits": {split: {"images": 1} for split in splits}}


def test_checkpoints_are_found_by_name_epoch_and_path(make_run: MakeRun, tmp_path: Path) -> None:  # noqa: F811
    run = trained(make_run)
    last, epoch = find_checkpoint(run, "last")
    assert epoch == 4 and last.is_file()
    assert find_checkpoint(run, str(last)) == (last, 4)
    other = tmp_path / "other.pt"
    other.write_bytes(b"x")
    assert find_checkpoint(run, str(other)) == (other, None)
    for which in ("1", "best", str(tmp_path / "absent.pt"), "bset"):  # nothing was evaluated
        with pytest.raises(MissingError, match="no"):
            find_checkpoint(run, which)


def test_only_what_a_run_here_wrote_is_loaded_without_trust(make_run: MakeRun, tmp_path: Path) -> None:  # noqa: F811
    run = make_run()
    own = run.attempt(1).checkpoints / "epoch-0001.pt"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"x")
    check_trust(run, own, False)
    other = tmp_path / "other.pt"
    other.write_bytes(b"x")
    inside = own.with_name("link.pt")
    inside.symlink_to(other)
    beside = run.path / "other.pt"
    beside.write_bytes(b"x")
    for path in (other, inside, beside):
        with pytest.raises(RunError, match="runs code") as caught:
            check_trust(run, path, False)
        assert "--trust" in str(caught.value.hint)
        check_trust(run, path, True)
    if os.getuid() == 0:
        os.chown(own, 12345, 12345)
        with pytest.raises(RunError, match="runs code"):
            check_trust(run, own, False)


def test_a_split_that_was_not_prepared_is_missing(make_run: MakeRun, tmp_path: Path) -> None:  # noqa: F811
    spec = make_run(data=data(tmp_path, "train", "val")).spec()
    check_split(spec, "val")
    with pytest.raises(MissingError, match=r"no split 'test': train, val") as caught:
        check_split(spec, "test")
    assert "test: {split" in str(caught.value.hint)
    (tmp_path / "val.json").unlink()
    with pytest.raises(MissingError, match="prepared data is gone"):
        check_split(spec, "val")


def test_a_backend_that_cannot_predict_says_so(make_run: MakeRun, tmp_path: Path) -> None:  # noqa: F811
    run = make_run(data=data(tmp_path, "val"), trainer="detui.engine.backends.command.train:CommandTrainer")
    with pytest.raises(UsageError, match="cannot predict with a checkpoint"):
        predict(run, tmp_path / "any.pt", "val", tmp_path / "out.json", trust=True)
    assert not (tmp_path / "out.json").exists()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tasks have their folders."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def module(folder: Path, body: str) -> dict[str, object]:
    (folder / "trainer.py").write_text(
        f"class T:\n    def predict(self, spec, checkpoint, split, out, device):\n{body}"
    )
    return {"trainer": "trainer:T", "pythonpath": (str(folder),)}


ARGUMENTS = {"checkpoint": "c.pt", "split": "val", "out": "out.json"}


def test_a_crash_is_told_in_three_lines_and_its_traceback_kept(
    make_run: MakeRun, tmp_path: Path, scratch: Path  # noqa: F811
) -> None:  # fmt: skip
    run = make_run(**module(tmp_path, "        {}['absent']\n"))
    with pytest.raises(RunError, match="KeyError: 'absent'") as caught:
        run_task(run, "predict", ARGUMENTS, CPU)
    text = str(caught.value)
    assert text.count("\n") == 2 and "trainer.py:3" in text
    traceback = Path(text.rsplit("read ", 1)[1])
    assert traceback.is_file() and "KeyError" in traceback.read_text()


def test_a_process_that_dies_without_a_word_is_an_error(
    make_run: MakeRun, tmp_path: Path, scratch: Path  # noqa: F811
) -> None:  # fmt: skip
    run = make_run(
        **module(tmp_path, "        import os\n        print('last words')\n        os.kill(os.getpid(), 9)\n")
    )
    with pytest.raises(RunError, match="signal 9") as caught:
        run_task(run, "predict", ARGUMENTS, CPU)
    assert "last words" in Path(str(caught.value.hint).removeprefix("read ")).read_text()


def test_an_error_on_purpose_keeps_its_class_and_leaves_no_files(
    make_run: MakeRun, tmp_path: Path, scratch: Path  # noqa: F811
) -> None:  # fmt: skip
    body = (
        "        import os\n        from detui.engine.errors import MissingError\n"
        "        assert device == 'cpu' and 'DETUI_RUN' not in os.environ and not os.environ['CUDA_VISIBLE_DEVICES']\n"
        "        raise MissingError('gone', where='there', hint='look')\n"
    )
    with pytest.raises(MissingError, match="gone") as caught:
        run_task(make_run(**module(tmp_path, body)), "predict", ARGUMENTS, CPU)
    assert (caught.value.where, caught.value.hint) == ("there", "look")
    assert list(scratch.iterdir()) == []
