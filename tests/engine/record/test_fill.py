"""Records of a real experiment's directory: what they say, in both languages, and what filling leaves alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from markdown_it import MarkdownIt

from detui.engine.errors import FormatError, MissingError
from detui.engine.record import fill, record_path
from detui.engine.record.blocks import find
from detui.engine.record.gather import gather
from detui.engine.run.files import read_json
from detui.engine.run.lines import LineWriter, read_lines

SECTIONS = 16


def snapshot(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def rows(text, block):
    """The body of a block's table: lists of cells, unescaped pipes only."""
    lines = [line for line in find(text)[block].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def outline(text):
    return [len(line.split(" ")[0]) for line in text.splitlines() if re.match(r"#+ ", line)]


def test_a_finished_experiment_end_to_end(hostile_trial):
    trial = hostile_trial
    trial.train_all()
    english, chinese = fill(trial.path)
    assert (english.name, chinese.name) == ("record.md", "record.zh.md")
    text = english.read_text()
    seeds = [row for row in rows(text, "results") if "mean" not in row[1]]
    facts = gather(trial.path)
    for row, run in zip(seeds, facts.runs, strict=True):
        line = run.chosen
        assert row[:2] == [f"`{run.arm}`", str(run.seed)] and row[8] == str(line["epoch"])
        assert row[2] == f"{100 * line['values']['val/AP']:.1f}" and row[3] == f"{100 * line['values']['val/AP50']:.1f}"
    assert "hotcoco 1.3.0" in text and "At most 100 detections" in text and "pixels of the original images" in text
    for name in ("losses", "ap", "pr", "detections"):
        assert f"figures/{name}.png" in text and (trial.path / "figures" / f"{name}.png").stat().st_size > 5000
    assert (trial.path / "figures" / "ap.png").read_bytes().startswith(b"\x89PNG")


def test_both_languages_say_the_same(finished):
    english, chinese = (record_path(finished.path, language).read_text() for language in ("en", "zh"))
    assert list(find(english)) == list(find(chinese)) and outline(english) == outline(chinese)
    assert outline(english) == outline(chinese) and len(outline(english)) >= SECTIONS
    for block in ("results", "cost", "classes", "delta", "goals", "milestones", "provenance", "runs"):
        one, other = rows(english, block), rows(chinese, block)
        assert [len(row) for row in one] == [len(row) for row in other] and one
        numbers = [[re.findall(r"[-+]?\d+\.\d+", cell) for cell in row] for row in one]
        assert numbers == [[re.findall(r"[-+]?\d+\.\d+", cell) for cell in row] for row in other]
    assert not re.search(r"[\u4e00-\u9fff]", english)


def test_markdown_is_valid_and_hostile_names_stay_text(finished):
    for path in (record_path(finished.path), record_path(finished.path, "zh")):
        tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text())
        inline = [token for token in tokens if token.type == "inline"]
        plain = [child.content for token in inline for child in token.children if child.type == "text"]
        assert not [text for text in plain if "**" in text or "`" in text]
        assert "box|with pipe" in plain and not [t for t in inline for c in t.children if c.type == "html_inline"]
        assert any("<b>" in token.content or "&lt;b&gt;" in token.content for token in inline)
        blocks = [token.content for token in tokens if token.type == "html_block"]
        assert all(re.fullmatch(r"<!-- detui:(begin|end) [\w-]+ -->\n?", content) for content in blocks)


def test_a_quick_record_says_so_at_its_title_and_at_every_table(finished, make_trial):
    text = record_path(finished.path).read_text()
    assert "**quick run: not a result.**" in find(text)["title"]
    for name in ("results", "cost", "delta", "classes", "milestones", "goals", "claims"):
        assert "**quick run: not a result.**" in find(text)[name]
    assert "不是结果" in record_path(finished.path, "zh").read_text()
    full = make_trial(profile="full")
    fill(full.path)
    assert "not a result" not in record_path(full.path).read_text()


def test_before_anything_ran_everything_measured_is_a_placeholder(trial):
    fill(trial.path)
    text = record_path(trial.path).read_text()
    for row in rows(text, "results"):
        assert row[2] == row[7] == "_(not measured yet)_"
    assert all(row[-1] == "_(not measured yet)_" for row in rows(text, "goals"))
    assert "_(not measured yet)_" in find(text)["figures"] and "_(to be filled in)_" in text
    assert "_(尚未测得)_" in record_path(trial.path, "zh").read_text()
    assert "**State:** queued, 0 of 4 runs finished" in text


def test_every_number_names_a_file_that_holds_it(finished):
    trial = finished
    text = record_path(trial.path).read_text()
    sources = {row[0]: row for row in rows(text, "provenance")}
    checked = 0
    for row in rows(text, "results"):
        if "mean" in row[1]:
            assert set(row[-1].split(", ")) <= set(sources)
            continue
        _, _, run, attempt, epoch, file = sources[row[-1]]
        assert run.strip("`") == f"{row[0].strip('`')}-s{row[1]}" and attempt == "1"
        lines = read_lines(trial.path / file.strip("`"))
        values = next(line["values"] for line in lines if line["epoch"] == int(epoch))
        for cell, name in zip(row[2:8], ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"), strict=True):
            assert cell == f"{100 * values[f'val/{name}']:.1f}"
            checked += 1
    assert checked == 24
    for block in ("cost", "classes", "milestones"):
        for row in rows(text, block):
            assert row[-1] and set(row[-1].split(", ")) <= set(sources)
    assert all((trial.path / row[5].strip("`")).is_file() for row in sources.values())


def test_filling_twice_changes_no_byte(finished):
    trial = finished
    before = snapshot(trial.path)
    fill(trial.path)
    assert snapshot(trial.path) == before


def test_figures_are_drawn_again_only_for_new_data_and_to_the_same_bytes(trial):
    trial.train("baseline-s0")
    fill(trial.path)
    figure = trial.path / "figures" / "losses.png"
    first = figure.read_bytes()
    figure.unlink()
    fill(trial.path)
    assert figure.read_bytes() == first
    trial.train("no-mosaic-s0")
    fill(trial.path)
    assert figure.read_bytes() != first


def test_pictures_of_the_data_wait_where_they_are_not_asked_for(trial):
    """Beside a training: the curves are drawn, a picture that is out of date is left out, one that is not is kept."""
    trial.train("baseline-s0")
    record = record_path(trial.path)
    fill(trial.path, photographs=False)
    assert "figures/losses.png" in record.read_text() and not (trial.path / "figures" / "detections.png").exists()
    assert "figures/detections.png" not in record.read_text()
    fill(trial.path)
    assert "figures/detections.png" in record.read_text()
    fill(trial.path, photographs=False)
    assert "figures/detections.png" in record.read_text()
    trial.train("no-mosaic-s0")
    fill(trial.path, photographs=False)
    assert "figures/detections.png" not in record.read_text()


def test_what_the_person_wrote_survives_while_the_run_goes_on(hostile_trial):
    trial = hostile_trial
    trial.train("baseline-s0")
    fill(trial.path)
    path = record_path(trial.path)
    mine = path.read_bytes().replace(
        b"## Observations\n\n_(to be filled in)_", b"## What I saw\r\n\xff\xfe odd bytes\t \n"
    )
    mine = mine.replace(b"## Next steps", b"## Next steps\n\n| my | table |\n|---|---|\n| (TBD) | |").rstrip(b"\n")
    path.write_bytes(mine)
    trial.train("no-mosaic-s0")
    fill(trial.path)
    now = path.read_bytes()
    assert now != mine and outside(now) == outside(mine)


def outside(content: bytes) -> bytes:
    return re.sub(rb"<!-- detui:begin ([\w-]+) -->.*?<!-- detui:end \1 -->", rb"[\1]", content, flags=re.DOTALL)


def test_removed_and_changed_blocks_are_respected_through_a_refill(trial):
    trial.train("baseline-s0")
    fill(trial.path)
    path = record_path(trial.path)
    text = path.read_text()
    text = re.sub(r"<!-- detui:begin claims -->.*?<!-- detui:end claims -->", "", text, flags=re.DOTALL)
    path.write_text(text.replace("Does mosaic help?", "Does mosaic help? (my wording)"))
    trial.train("no-mosaic-s0")
    fill(trial.path)
    now = path.read_text()
    assert "detui:begin claims" not in now and "(my wording)" in now and now.count("changed by hand") == 1
    assert find(now)["question"].strip() == "Does mosaic help?"
    before = snapshot(trial.path)
    fill(trial.path)
    assert snapshot(trial.path) == before


def test_verdicts_follow_the_seeds(finished, make_trial):
    text = record_path(finished.path).read_text()
    assert all("fewer than 3 seeds" in row[-1] for row in rows(text, "delta"))
    assert ["met" in row[-1] for row in rows(text, "goals")] == [True, False, False]
    three = make_trial(seeds=(0, 1, 2), profile="full")
    three.train_all()
    fill(three.path)
    ap = rows(record_path(three.path).read_text(), "delta")[0]
    assert ap[5] == "3 / 3" and "fewer" not in ap[-1] and ap[6].count("s") == 3
    goals = rows(record_path(three.path).read_text(), "goals")
    assert "3 / 3" in goals[1][4]


def test_claims_stand_only_in_columns_of_that_name(finished):
    trial = finished
    text = record_path(trial.path).read_text()
    ((metric, arm, claimed, source, measured, marks),) = rows(text, "claims")
    assert (metric, arm, claimed, source) == ("AP50 %", "`baseline`", "41.0", "seed document, line 35")
    assert measured != "41.0" and "(n = 2)" in measured and marks == "S1, S2"
    assert all("41.0" not in cell for row in rows(text, "results") for cell in row[:2])


def test_confounders_are_loud(make_trial):
    finding = {"level": "confounder", "field": "train.batch", "text": "train.batch differs and is not declared."}
    trial = make_trial(fairness=[finding], differs={"train.batch": {"baseline": 4, "no-mosaic": 6}})
    fill(trial.path)
    text = find(record_path(trial.path).read_text())["differs"]
    assert "🛑" in text and "train.batch differs and is not declared." in text and "**CONFOUNDER**" in text
    assert "混杂因素" in record_path(trial.path, "zh").read_text()


def test_values_used_otherwise_than_asked_are_shown(trial):
    trial.train("baseline-s0")
    fill(trial.path)
    assert rows(record_path(trial.path).read_text(), "hyperparameters") == [
        ["`baseline`", "0", "`lr0`", "`0.0005`", "`0.002`"]
    ]


def test_the_gpu_its_driver_and_cuda_are_in_the_environment(make_trial):
    device = {
        "kind": "cuda",
        "count": 1,
        "candidates": ["GPU-1"],
        "names": ["RTX 4090"],
        "driver": "550.54",
        "cuda": "12.4",
    }
    trial = make_trial(device=device)
    fill(trial.path)
    found = dict(rows(record_path(trial.path).read_text(), "environment"))
    assert (found["could choose from"], found["GPU driver"], found["CUDA"]) == ("RTX 4090", "550.54", "12.4")
    assert found["GPU used"] == "_(not known)_", "a candidate that no run had was not used"


def test_a_run_that_ended_early_says_where(trial):
    for name in trial.runs:
        trial.train(name, 14, ended="stopped")
    fill(trial.path)
    text = record_path(trial.path).read_text()
    late = [row for row in rows(text, "milestones") if row[0] == "30"]
    assert len(late) == 2 and all(row[2] == "stopped early at epoch 14" for row in late)
    assert "**State:** stopped, 0 of 4" in text and rows(text, "runs")[0][2] == "14 / 30"


def test_a_run_that_failed_is_in_the_log_with_its_reason(trial):
    run = trial.runs["baseline-s0"]
    run.append_event("starting", attempt=1)
    run.append_event("failed", attempt=1, code=3, reason="ValueError: pipes | and\nlines")
    fill(trial.path)
    (row,) = [row for row in rows(record_path(trial.path).read_text(), "runs") if row[0] == "`baseline-s0`"]
    assert row[1] == "failed" and row[7] == "exit code 3; ValueError: pipes \\| and lines"


def test_a_resumed_run_counts_what_the_later_attempt_measured(trial):
    trial.train("baseline-s0", 20, ended="stopped")
    run = trial.runs["baseline-s0"]
    second = run.attempt(2)
    second.predictions.mkdir(parents=True)
    writer = LineWriter(second.metrics_path)
    writer.write({"kind": "begin", "t": 0, "attempt": 2, "resumed_from_step": 60, "total_epochs": 30})
    writer.write({"kind": "epoch", "t": 3, "step": 66, "epoch": 11, "seconds": 3.0, "values": {"train/loss_box": 9.0}})
    writer.close()
    run.append_event("running", attempt=2)
    facts = next(run for run in gather(trial.path).runs if run.name == "baseline-s0")
    assert [line["epoch"] for line in facts.evaluations] == [10] and facts.epoch == 11
    assert facts.losses["train/loss_box"][1][-1] == 9.0
    fill(trial.path)
    row = next(row for row in rows(record_path(trial.path).read_text(), "runs") if row[0] == "`baseline-s0`")
    assert row[5] == "2" and row[2] == "11 / 30"


def test_a_torn_evaluation_line_is_not_yet(trial):
    trial.train("baseline-s0")
    path = trial.runs["baseline-s0"].attempt(1).evaluations_path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:-40])
    fill(trial.path)
    text = record_path(trial.path).read_text()
    assert rows(text, "results")[0][8] == "20" and "val-epoch-0030.json" in find(text)["runs"]


def test_predictions_that_wait_are_listed(trial):
    trial.train("baseline-s0", evaluate=False)
    fill(trial.path)
    text = record_path(trial.path).read_text()
    assert find(text)["runs"].count("predictions/val-epoch-") == 3
    assert rows(text, "results")[0][2] == "_(not measured yet)_"


def test_absent_pictures_leave_out_a_figure_and_nothing_else(trial):
    trial.train_all()
    for picture in (trial.path.parent / "prepared" / "images").iterdir():
        picture.unlink()
    fill(trial.path)
    text = record_path(trial.path).read_text()
    assert "figures/detections.png" not in text and "figures/ap.png" in text


def test_the_command_of_the_supervisor_evaluates_and_fills(hostile_trial):
    trial = hostile_trial
    trial.train("baseline-s0", evaluate=False)
    command = [sys.executable, "-m", "detui.engine.record", str(trial.runs["baseline-s0"].path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert rows(record_path(trial.path).read_text(), "results")[0][2] != "_(not measured yet)_"


def test_the_command_fills_although_something_cannot_be_evaluated(trial):
    trial.train("baseline-s0", evaluate=False)
    broken = trial.runs["baseline-s0"].attempt(1).predictions / "val-epoch-0030.json"
    broken.write_text("[{")
    command = [sys.executable, "-m", "detui.engine.record", str(trial.runs["baseline-s0"].path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and str(broken) in done.stderr and "Traceback" not in done.stderr
    assert rows(record_path(trial.path).read_text(), "results")[0][8] == "20"
    absent = subprocess.run(
        [*command[:-1], str(trial.path / "runs" / "no")], capture_output=True, text=True, timeout=60
    )
    assert absent.returncode == 3 and "Traceback" not in absent.stderr


def test_two_fillers_at_once_leave_one_whole_record(trial):
    trial.train("baseline-s0")
    command = [sys.executable, "-m", "detui.engine.record"]
    workers = [subprocess.Popen([*command, str(run.path)]) for run in trial.runs.values()]
    assert [worker.wait(120) for worker in workers] == [0] * 4
    before = snapshot(trial.path)
    fill(trial.path)
    assert snapshot(trial.path) == before
    assert not list(trial.path.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{", FormatError),
        ('{"schema": 99}', FormatError),
        ('{"schema": 1, "id": "x"}', FormatError),
        (None, MissingError),
    ],
)
def test_broken_experiments_are_named(trial, content, error):
    path = trial.path / "experiment.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(error) as caught:
        fill(trial.path)
    assert str(trial.path) in str(caught.value)


def test_an_unknown_template_is_named_with_those_there_are(make_trial):
    trial = make_trial(record={"template": "nosuch", "languages": ["en"]})
    with pytest.raises(MissingError, match="default"):
        fill(trial.path)


def test_only_the_wanted_languages_are_written(make_trial):
    trial = make_trial(record={"template": "default", "languages": ["zh"]})
    assert [path.name for path in fill(trial.path)] == ["record.zh.md"] and not record_path(trial.path).exists()


def test_the_memory_file_names_its_schema_and_its_blocks(trial):
    fill(trial.path)
    found = read_json(trial.path / "record.json")
    assert found["schema"] == 1 and set(found["languages"]) == {"en", "zh"}
    assert set(found["languages"]["en"]["blocks"]) == set(find(record_path(trial.path).read_text()))
    assert json.dumps(found)


def test_importing_is_light_and_the_package_keeps_its_names():
    """The parts of a package must not shadow what it offers, and `detui ls` must not pay for matplotlib."""
    code = (
        "import sys, detui.engine.record, detui.engine.evaluate, detui.engine.analysis\n"
        "heavy = {'numpy', 'scipy', 'matplotlib', 'jinja2', 'hotcoco', 'PIL'} & set(sys.modules)\n"
        "import detui.engine.record.fill, detui.engine.record.export, detui.engine.evaluate.pending\n"
        "assert callable(detui.engine.record.fill) and callable(detui.engine.evaluate.evaluate_run), 'shadowed'\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
