"""The record of the size-weighting family: the order of the hand-written one, and all that can be filled is filled."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from weighted import GOALS, STEPS, Weighted, gradient

from detui.engine.analysis import compare
from detui.engine.record import fill
from detui.engine.record.blocks import find
from detui.engine.record.export import export
from detui.engine.record.facts import ExperimentFacts, Samples, record_path
from detui.engine.record.final import Final
from detui.engine.record.gather import gather
from detui.engine.record.milestones import Milestones
from detui.engine.record.render import render
from detui.engine.record.results import Results
from detui.engine.record.shares import Shares
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words

GOLDEN = Path(__file__).with_name("golden")
ORDER = (
    "实验目标", "实验配置", "改进内容", "训练参数", "代码修改", "Baseline 性能", "训练过程记录", "训练命令",
    "关键节点记录", "Epoch 10", "Epoch 20", "Epoch 30", "最终验证结果", "完整性能指标", "尺寸分级详细结果",
    "实验分析", "效果验证", "意外发现", "问题与不足", "可视化分析", "训练曲线", "检测结果可视化", "PR 曲线",
    "结论", "是否达到预期", "下一步行动", "论文撰写价值", "补充说明", "实验环境", "数据预处理", "其他注意事项",
)  # fmt: skip
"""Headings of the hand-written record, in its order."""


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> Weighted:
    """Two arms, three seeds, trained, evaluated and filled; for tests that only read it."""
    trial = Weighted(tmp_path_factory.mktemp("weighted"), arms=("baseline", "weighted"))
    trial.train_all()
    fill(trial.path)
    return trial


@pytest.fixture(scope="module")
def facts(weighted: Weighted) -> ExperimentFacts:
    return gather(weighted.path)


def text_of(trial: Weighted, language: str = "en") -> str:
    return record_path(trial.path, language).read_text(encoding="utf-8")


def rows(block: str) -> list[list[str]]:
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()
            if line.startswith("| ")]  # fmt: skip


def settled(text: str) -> str:
    """A record without what depends on the moment."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(?: UTC|:\d\d(?= \|))", "(moment)", text)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_record_is_the_one_that_was_read(weighted, language: str) -> None:
    text, golden = settled(text_of(weighted, language)), GOLDEN / f"size-weights.{language}.md"
    if os.environ.get("DETUI_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8"), "look at what changed; DETUI_GOLDEN=write makes it the new one"


def test_the_order_is_that_of_the_record_that_it_follows(weighted) -> None:
    headings = [line.lstrip("# ") for line in text_of(weighted, "zh").splitlines() if line.startswith("#")]
    places = [next(i for i, heading in enumerate(headings) if name in heading) for name in ORDER]
    assert places == sorted(places), [headings[place] for place in places]


def test_both_languages_hold_the_same_blocks_and_numbers(weighted) -> None:
    english, chinese = (find(text_of(weighted, language)) for language in ("en", "zh"))
    assert list(english) == list(chinese)
    numbers = [[re.findall(r"[-+]?\d+\.\d+", find(text_of(weighted, one))[name]) for name in
                ("final", "results", "classes", "shares", "claims")] for one in ("en", "zh")]  # fmt: skip
    assert numbers[0] == numbers[1] and all(numbers[0])


def test_filling_again_changes_no_byte(weighted) -> None:
    before = {path: path.read_bytes() for path in weighted.path.rglob("*") if path.is_file()}
    fill(weighted.path)
    assert {path: path.read_bytes() for path in weighted.path.rglob("*") if path.is_file()} == before


def test_only_what_is_a_persons_stays_open(weighted) -> None:
    open_cells = [line for line in text_of(weighted).splitlines() if "to be filled in" in line]
    assert len(open_cells) == 9  # three observations, causes, findings, problems, next, remarks, responsible
    unmeasured = [line for line in text_of(weighted).splitlines() if "not measured yet" in line]
    assert all("FPS" in line or line.startswith("- goals") for line in unmeasured), unmeasured


def test_the_document_is_claimed_and_the_baseline_measured(weighted, facts) -> None:
    table = rows(find(text_of(weighted))["claims"])
    small = next(row for row in table if row[0] == "AP small (%)")
    mean = 100 * sum(facts.values("baseline", "val/AP_small").values()) / 3
    assert small[1:5] == ["`baseline`", "30.94", "a document", "pixel spaces mixed"]
    assert small[5].startswith(f"{mean:.1f} ±")
    assert next(row for row in table if row[1] == "`weighted`")[2] == "25.0"


def test_each_milestone_has_the_cells_of_the_record_that_it_follows(weighted, facts) -> None:
    blocks = find(text_of(weighted))
    first, between, last = (rows(blocks[f"epoch-{epoch}"]) for epoch in (10, 20, 30))
    assert first[0] == ["arm", "time (UTC)", "AP50 (%)", "AP small (%)", "box_loss", "cls_loss", "source"]
    assert between[0][-2] == "trend since epoch 10" and last[0][3] == "chosen epoch"
    runs = facts.of("weighted")
    values = [{line["epoch"]: line["values"]["val/AP50"] for line in run.evaluations} for run in runs]
    change = 100 * sum(one[20] - one[10] for one in values) / 3
    assert f"AP50 {change:+.1f} pp (higher in {sum(o[20] > o[10] for o in values)} of 3 seeds)" in between[3][4]
    highest = max(runs[0].evaluations, key=lambda line: line["values"]["val/AP50"])
    row = next(row for row in last if row[:2] == ["`weighted`", "0"])
    assert row[6] == f"{100 * highest['values']['val/AP50']:.1f} (epoch {highest['epoch']})"
    loss = sum(dict(zip(*run.losses["train/loss_box"], strict=True))[10] for run in facts.of("baseline")) / 3
    assert first[2][4] == f"{loss:.3g}"


@pytest.mark.parametrize(("epochs", "kinds"), [((), []), ((30,), ["last"]), ((10, 30), ["first", "last"])])
def test_few_milestones_have_a_last_one_before_a_first(facts, epochs, kinds) -> None:
    fewer = replace(facts, info={**facts.info, "milestones": epochs})
    found = Milestones(Results(fewer, Words("en"), Ledger())).stones()
    assert [stone.kind for stone in found] == kinds


def test_the_shares_are_means_over_the_samples_with_their_file(weighted, facts) -> None:
    table = rows(find(text_of(weighted))["shares"])
    small = next(row for row in table if row[:2] == ["`weighted`", "small"])
    assert small[2:8] == ["50.0 ± 0.0", "40.0 ± 0.0", f"{100 * gradient('weighted')[0]:.1f} ± 0.0", "1.21", "3", "90"]
    marks = [row for row in rows(find(text_of(weighted))["provenance"]) if "shares by size" in row[1]]
    assert {row[5] for row in marks} == {f"`runs/{run.name}/attempts/1/metrics.jsonl`" for run in facts.runs}
    assert {row[0] for row in marks if "weighted" in row[2]} == set(small[8].split(", "))


def test_an_unfinished_run_enters_no_share(facts) -> None:
    stopped = replace(facts, runs=tuple(replace(run, state="stopped") if run.name == "weighted-s0" else run
                                        for run in facts.runs))  # fmt: skip
    table = Shares(Results(stopped, Words("en"), Ledger())).table()
    assert [row[6:8] for row in table.rows if row[0] == "`weighted`"] == [["2", "60"]] * 3


def test_samples_of_a_resumed_run_come_from_both_attempts(tmp_path) -> None:
    trial = Weighted(tmp_path, arms=("baseline", "weighted"), seeds=(0,))
    trial.train("weighted-s0", 20, ended="stopped", evaluate=False)
    trial.train("weighted-s0", number=2, after=10, evaluate=False)
    run = gather(trial.path).of("weighted")[0]
    samples = run.statistics["gradient/small"]
    assert samples.steps == tuple(range(6, 181, 6)) and set(samples.attempts[:10]) == {1}
    assert set(samples.attempts[10:]) == {2}, "what the first attempt sampled beyond its checkpoint was done again"


def test_what_is_no_number_is_no_sample(tmp_path) -> None:
    trial = Weighted(tmp_path, arms=("baseline", "weighted"), seeds=(0,))
    trial.train("weighted-s0", 2, evaluate=False)
    path = trial.runs["weighted-s0"].attempt(1).metrics_path
    path.write_text(path.read_text().replace('"gradient/large":', '"gradient/large":"NaN","x":', 1))
    statistics = gather(trial.path).of("weighted")[0].statistics
    assert len(statistics["gradient/small"].values) == 2 and len(statistics["gradient/large"].values) == 1
    assert Samples((1, 2), (0.2, 0.4), (1, 1)).mean == pytest.approx(0.3)


def test_goals_and_the_decision_are_judged_and_the_absolute_ones_are_put_in_their_place(weighted, facts) -> None:
    blocks = find(text_of(weighted))
    parameters = next(row for row in rows(blocks["final"]) if row[0] == "parameters")
    assert parameters[5:] == ["parameters of `weighted` as in `baseline`", "✅ met"]
    assert "document whose baseline is a claim" in blocks["final"] and len(rows(blocks["goals"])) == 2 + len(GOALS)
    assert next(row for row in rows(blocks["final"]) if row[0] == "FPS")[2:5] == ["_(not measured yet)_"] * 2 + ["–"]
    found = compare(*(facts.values(arm, "val/AP_small") for arm in facts.arms))
    place = [step["at_least"] is None or found.delta >= step["at_least"] for step in STEPS].index(True)
    ticked = [line for line in blocks["decisions"].splitlines() if line.startswith("- [x]")]
    assert len(ticked) == 1 and ticked[0].startswith(f"- [x] {STEPS[place]['title']['en']} (")
    assert f"if “{STEPS[place]['title']['en']}”" in next(
        line for line in blocks["next"].splitlines() if line.startswith("- [x]")
    )


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ((0.030, 0.031, 0.032), "The 95 % interval lies within “reached”."),
        ((0.010, 0.030, 0.050), "The 95 % interval reaches from “not reached” to “reached”."),
        ((0.013, 0.014, 0.015), "The 95 % interval lies within “partly”."),
        ((0.017, 0.019, 0.021), "The 95 % interval reaches from “partly” to “reached”."),
        ((-0.02, -0.021, -0.022), "The 95 % interval lies within “not reached”."),
    ],
)
def test_it_is_said_which_steps_the_interval_spans(facts, gains, said) -> None:
    def with_small(run):
        gain = gains[run.seed] if run.arm == "weighted" else 0.0
        chosen = {**run.chosen, "values": {**run.chosen["values"], "val/AP_small": 0.3 + gain}}
        return replace(run, chosen=chosen)

    other = replace(facts, runs=tuple(map(with_small, facts.runs)))
    (line,) = Final(Results(other, Words("en"), Ledger()), {}).reached()
    assert line.endswith(said)


def test_the_metric_of_the_datas_authors_stands_apart(facts) -> None:
    def with_official(run):
        values = {**run.chosen["values"], "val/official_AP": 0.123, "val/official_AP50": 0.234}
        return replace(run, chosen={**run.chosen, "values": values})

    assert "no metric of their authors' own" in find(render(facts, "en"))["official"]
    block = find(render(replace(facts, runs=tuple(map(with_official, facts.runs))), "en"))["official"]
    assert rows(block)[0][2:5] == ["official AP (%)", "official AP50 (%)", "official AP75 (%)"]
    assert rows(block)[2][2:5] == ["12.3", "23.4", "n/a"] and "Not comparable" in block


def test_before_the_first_run_and_in_the_middle_it_is_a_record(tmp_path) -> None:
    trial = Weighted(tmp_path, arms=("baseline", "weighted", "uniform-scale"), profile="quick", seeds=(0, 1))
    for language, word in (("en", "not measured yet"), ("zh", "尚未测得")):
        text = render(gather(trial.path), language)
        assert text.count(word) > 40 and "quick" in text
        assert "`0.0`" not in text and ("planned" in text or "计划" in text)
    trial.train("baseline-s0")
    trial.train("weighted-s0", 20, ended=None)
    blocks = find(render(gather(trial.path), "en"))
    assert "s0:" in rows(blocks["epoch-20"])[3][2] and "unfinished" in rows(blocks["epoch-20"])[3][2]
    assert rows(blocks["epoch-20"])[4][1:3] == ["_(not measured yet)_"] * 2
    assert "- [x]" not in blocks["decisions"] + blocks["next"] + blocks["conclusions"]


def test_a_confounder_an_alarm_and_values_not_used_as_asked_are_in_it(tmp_path) -> None:
    fairness = [{"level": "confounder", "field": "train.batch", "text": "train.batch differs."}]
    trial = Weighted(tmp_path, arms=("baseline", "weighted"), seeds=(0,), fairness=fairness)
    trial.train("baseline-s0", device="cpu:0")
    trial.train("weighted-s0", begin={"asked": {"lr0": 0.1}, "used": {"lr0": 0.2},
                                      "device": {"kind": "cpu", "name": "Other CPU"}})  # fmt: skip
    path = trial.runs["weighted-s0"].attempt(1).metrics_path
    alarm = '{"kind":"alarm","t":1.0,"step":6,"epoch":1,"name":"nan","text":"train/loss_box is NaN"}\n'
    path.write_text(path.read_text() + alarm)
    blocks = find(render(gather(trial.path), "en"))
    assert "Confounders" in blocks["differs"] and "train.batch differs." in blocks["differs"]
    assert "different device models" in blocks["title"] and "confounder(s)" in blocks["title"]
    assert rows(blocks["hyperparameters"])[2][2:] == ["`lr0`", "`0.1`", "`0.2`"]
    assert "train/loss\\_box is NaN" in blocks["stability"] or "train/loss_box is NaN" in blocks["stability"]


def test_exports_hold_it(weighted, tmp_path) -> None:
    page = export(weighted.path, "html", tmp_path / "r.html")[0].read_text()
    assert page.count("<img ") == 8 and "detui:begin" not in page
    tables = export(weighted.path, "latex", tmp_path / "r.tex")[0].read_text()
    assert "share of gradient" in tables and r"parameters of \texttt{weighted}" in tables
    written = list(csv.DictReader(export(weighted.path, "csv", tmp_path / "r.csv")[0].read_text().splitlines()))
    shares = [row for row in written if row["role"] == "statistic" and row["metric"] == "gradient/small"]
    assert len(shares) == 6 and {row["file"].rpartition("/")[2] for row in shares} == {"metrics.jsonl"}


def test_no_text_from_elsewhere_breaks_a_block_or_a_table(tmp_path) -> None:
    ugly = "a | b <!-- detui:end claims --> `x` **y**"
    claims = [{"metric": "val/AP_small", "arm": "baseline", "value": 0.3, "source": ugly, "note": ugly}]
    steps = [{**step, "title": {"en": ugly, "zh": ugly}, "next": {"en": ugly, "zh": ugly}} for step in STEPS]
    decisions = [{"metric": "val/AP_small", "arm": "weighted", "against": "baseline", "steps": steps}]
    trial = Weighted(tmp_path, arms=("baseline", "weighted"), seeds=(0,), claims=claims, decisions=decisions)
    trial.train_all()
    facts = gather(trial.path)
    for language in ("en", "zh"):
        text = render(facts, language)
        assert text.count("<!-- detui:begin ") == text.count("<!-- detui:end ") == len(find(text))
        table = rows(find(text)["claims"])
        assert {len(row) for row in table} == {7} and "detui:end claims" in table[4][3]


def test_a_metric_without_ground_truth_is_not_waited_for(facts) -> None:
    def without_large(run):
        return replace(run, chosen={**run.chosen, "values": {**run.chosen["values"], "val/AP_large": None}})

    goal = {"metric": "val/AP_large", "arm": "weighted", "against": "baseline", "delta_at_least": -0.01}
    other = replace(facts, info={**facts.info, "goals": [goal]}, runs=tuple(map(without_large, facts.runs)))
    blocks = find(render(other, "en"))
    assert next(row for row in rows(blocks["final"]) if row[0] == "AP large (%)")[2:] == [
        "n/a", "n/a", "–", "AP large, `weighted` − `baseline` ≥ -1.0 pp", "n/a"
    ]  # fmt: skip
    assert rows(blocks["goals"])[2][2:] == ["n/a", "–", "–", "n/a"] and "pp: n/a" in blocks["conclusions"]
    assert next(row for row in rows(blocks["claims"]) if row[0] == "AP large (%)")[5] == "n/a"
