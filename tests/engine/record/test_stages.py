"""What a record says of stages: their data, what they started from, what was really used, what was not judged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from trials import Trial

from detui.engine.record.gather import gather
from detui.engine.record.milestones import Milestones
from detui.engine.record.results import Results
from detui.engine.record.setup import Setup
from detui.engine.record.sources import Ledger
from detui.engine.record.stages import Stages
from detui.engine.record.starts import Starts
from detui.engine.record.transfer import Transfers
from detui.engine.record.words import Words
from detui.engine.run.files import write_json
from detui.engine.run.lines import LineWriter, read_lines

USED = {"mosaic": 1.0, "mixup": 0.15, "cutmix": 0.0, "hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4, "flipud": 0.0,
        "fliplr": 0.5, "albumentations": False}  # fmt: skip
SUMMARY = {
    "source": {"kind": "stage", "stage": "simple", "epoch": 15, "file": "s0-e0015.pt"},
    "tensors": {"transferred": 926, "remapped": 15, "in_part": 0, "anew": 0, "of": 941, "left_behind": 0},
    "parameters": {"transferred": 32_000_000, "remapped": 1000, "in_part": 0, "anew": 7000, "of": 32_008_000,
                   "left_behind": 0},
    "classes": {"taken": ["chair", "box|with pipe"], "anew": [f"class {n}" for n in range(14)],
                "left_behind": ["sofa"]},
    "anew": {"head.enc_score_head": 2}, "reshaped": 0, "file": "transfer-s1.json",
}  # fmt: skip


def tell(trial: Trial, name: str, **changes: object) -> None:
    """Put two stages of 15 epochs into what a run measured: the first on other classes, with random weights."""
    path = trial.runs[name].attempt(1).metrics_path
    lines = read_lines(path)
    path.unlink()
    first = {
        "kind": "stage",
        "t": 0.2,
        "stage": "simple",
        "index": 0,
        "epochs": 15,
        "step": 0,
        "epoch": 0,
        "data": {"name": "homeobjects", "fingerprint": "sha256:ab", "classes": 12, "judged": "not"},
        "transfer": None,
        "asked": {"lr0": 0.001},
        "used": {"lr0": 0.001, "amp": False},
        "first_step": {"lr": {"lr/all": 0.0}, "augment": {"mosaic": 0.0}, "warmup_steps": 18, "mosaic_epochs": 15},
    }
    second = {
        "kind": "stage",
        "t": 46.0,
        "stage": "crowded",
        "index": 1,
        "epochs": 15,
        "step": 90,
        "epoch": 15,
        "data": {"name": "coco-indoor", "classes": 31, "judged": "own"},
        "transfer": SUMMARY,
        "asked": {"lr0": 0.0001},
        "used": {"lr0": 0.0002, "amp": False},
        "first_step": {"lr": {"lr/all": 0.001}, "augment": USED, "warmup_steps": 0, "mosaic_epochs": 5},
        **changes,
    }
    writer = LineWriter(path)
    for line in lines:
        if line["kind"] == "evaluation" and line["epoch"] == 10:
            continue
        if line["kind"] == "step":
            line["values"]["lr/all"] = 0.001 * (1 if line["epoch"] > 15 else 4) / line["epoch"]
        if line["kind"] == "step" and line["epoch"] == 16:
            writer.write(second)
        writer.write(line)
        if line["kind"] == "begin":
            writer.write(first)
    writer.close()


@pytest.fixture
def staged(trial: Trial) -> Trial:
    for name in trial.runs:
        trial.train(name, evaluate=False)
        if name.startswith("baseline"):
            tell(trial, name)
    return trial


def tables(trial: Trial, language: str = "en") -> tuple[Stages, Transfers, Milestones, Ledger]:
    ledger = Ledger()
    results = Results(gather(trial.path), Words(language), ledger)
    return Stages(results), Transfers(results), Milestones(results), ledger


def test_the_stages_say_what_was_used(staged: Trial) -> None:
    stages, _, _, ledger = tables(staged)
    assert stages.several
    first, second = stages.table().rows
    assert first[:5] == ["`baseline`", "simple", "0, 1", "15", "`homeobjects`"]
    assert first[5] == "0.004, highest 0.004, last 0.000267 (warm-up over 18 steps)" and first[6] == "none"
    assert second[4:7] == [
        "`coco-indoor`",
        "6.25e-05, highest 6.25e-05, last 3.33e-05",
        "mosaic 1, mixup 0.15, hsv 0.015/0.7/0.4, flips 0/0.5; "
        "mosaic, mix-up, cut-mix and copy-paste in its first 5 epochs",
    ]
    assert [source.file for _, source, _ in ledger.entries()] == [
        f"runs/baseline-s{seed}/attempts/1/metrics.jsonl" for seed in (0, 1)]  # fmt: skip


def test_the_values_used_are_those_of_each_stage(staged: Trial) -> None:
    setup = Setup(gather(staged.path), Words("en"))
    effective = setup.effective()
    assert list(effective.head) == ["field", "`baseline`, simple", "`baseline`, crowded", "`no-mosaic`"]
    assert [row[1:] for row in effective.rows if row[0] == "`lr0`"] == [["`0.001`", "`0.0002`", "`0.002`"]]
    assert [row[:4] for row in setup.hyperparameters().rows] == [
        ["`baseline`, crowded", "0, 1", "`lr0`", "`0.0001`"], ["`no-mosaic`", "0, 1", "`lr0`", "`0.0005`"]]  # fmt: skip


def test_a_resumed_run_of_stages_tells_what_changed_between_its_attempts(trial: Trial) -> None:
    """The line that the run goes by has the model of the last stage, which no attempt said."""
    trial.train("baseline-s0", 20, ended="stopped", evaluate=False)
    tell(trial, "baseline-s0", model={"parameters": 7})
    trial.train("baseline-s0", number=2, after=20, evaluate=False, begin={"packages": {"torch": "2.14.0"}})
    facts = gather(trial.path)
    assert facts.runs[0].begin["model"]["parameters"] == 7
    (line,) = Starts(facts, Words("en")).changed_between()
    assert "Attempt 1 of `baseline-s0` had other packages than attempt 2" in line and "`2.14.0` → `2.13.0`" in line


def test_mixing_that_was_off_has_no_end(staged: Trial) -> None:
    facts = gather(staged.path)
    stage = facts.runs[0].stages[1]
    off = {"augment": {**USED, "mosaic": 0.0, "mixup": 0.0}, "mosaic_epochs": 5}
    runs = (replace(facts.runs[0], stages=(replace(stage, line={**stage.line, "first_step": off}),)),)
    (row,) = Stages(Results(replace(facts, runs=runs), Words("en"), Ledger())).table().rows
    assert row[6] == "hsv 0.015/0.7/0.4, flips 0/0.5"


def test_data_has_its_role_where_the_recipe_gives_one(staged: Trial) -> None:
    roles = {"simple": {"name": "homeobjects", "fingerprint": "sha256:ab"}}
    write_json(staged.path / "experiment.json", {**staged.info, "data_sets": roles})
    assert [row[4] for row in tables(staged)[0].table().rows] == ["simple (`homeobjects`)", "`coco-indoor`"]


def test_the_transfer_says_what_came_and_what_did_not(staged: Trial) -> None:
    _, transfers, _, ledger = tables(staged)
    assert transfers.any and transfers.told
    first, second = transfers.table().rows
    assert first[3:9] == ["random weights", *["–"] * 5]
    assert second[3:8] == [
        "stage simple, epoch 15 (EMA)",
        "941 of 941 (15 by class rows)",
        "32,001,000 of 32,008,000 (100.0 %)",
        "chair, box\\|with pipe",
        f"rows of {', '.join(f'class {n}' for n in range(12))} and 2 more; `head.enc_score_head` (2 tensors)",
    ]
    assert second[8] == "rows of sofa"
    assert "runs/baseline-s1/attempts/1/transfer-s1.json" in {source.file for _, source, _ in ledger.entries()}


def test_seeds_that_differ_have_rows_of_their_own(trial: Trial) -> None:
    for name in ("baseline-s0", "baseline-s1"):
        trial.train(name, evaluate=False)
        tell(trial, name, transfer={**SUMMARY, "source": {**SUMMARY["source"], "epoch": 15 - int(name[-1])}})
    rows = tables(trial)[1].table().rows
    assert [row[1:4] for row in rows] == [
        ["simple", "0, 1", "random weights"], ["crowded", "0", "stage simple, epoch 15 (EMA)"],
        ["crowded", "1", "stage simple, epoch 14 (EMA)"]]  # fmt: skip


def test_a_milestone_on_other_classes_waits_for_nothing(staged: Trial) -> None:
    rows = [row for row in tables(staged)[2].table().rows if row[1] == "`baseline`"]
    assert rows[0][0] == "10" and set(rows[0][2:-2]) == {"not evaluated: trained on other classes"}
    assert "not evaluated" not in " ".join(rows[1]) and rows[0][-2].startswith("box ")


def test_in_chinese(staged: Trial) -> None:
    stages, transfers, milestones, _ = tables(staged, "zh")
    assert "预热 18 步" in str(stages.table())
    assert "前 5 轮使用 mosaic、mix-up、cut-mix 与 copy-paste" in str(stages.table())
    assert "阶段 simple，第 15 轮 (EMA)" in str(transfers.table()) and "其中 15 个按类别行" in str(transfers.table())
    assert "未评估：该阶段在其他类别上训练" in str(milestones.table())


def test_runs_that_tell_of_no_stages_have_no_rows(trial: Trial) -> None:
    trial.train("baseline-s0", evaluate=False)
    stages, transfers, _, _ = tables(trial)
    assert not stages.several and not transfers.any and not transfers.told
    assert not stages.table().rows and not transfers.table().rows


def test_the_rule_does_not_choose_what_is_no_candidate(trial: Trial) -> None:
    """An evaluation in a stage on other data of the same classes stands in the curve, and is not to be chosen."""
    trial.train("baseline-s0", evaluate=False)
    path = trial.runs["baseline-s0"].attempt(1).metrics_path
    whole = gather_after(trial)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    best = next(line for line in lines if line["kind"] == "evaluation" and line["epoch"] == whole["epoch"])
    best["candidate"] = False
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    trial.runs["baseline-s0"].attempt(1).evaluations_path.unlink()
    again = gather_after(trial)
    assert again["epoch"] != whole["epoch"]
    assert len(gather(trial.path).runs[0].evaluations) == 3


def gather_after(trial: Trial) -> dict:
    from detui.engine.evaluate import evaluate_run

    evaluate_run(trial.runs["baseline-s0"])
    chosen = gather(Path(trial.path)).runs[0].chosen
    assert chosen is not None
    return dict(chosen)
