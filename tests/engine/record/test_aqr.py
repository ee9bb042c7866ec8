"""The record of the AQR family: in the order of its document, by iteration, with nothing assumed."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import training_repository
from left_files import LOG, SECOND, written
from routed import AQR, BAND, Routed

from detui.engine.backends.torch.gain import Bounds
from detui.engine.importing import import_arms
from detui.engine.record import aqr_figure, fill
from detui.engine.record.aqr import AqrTables
from detui.engine.record.aqr_findings import CLAMPED, AqrFindings
from detui.engine.record.aqr_settings import AqrSettings, bounds_by_mode, settings_of, violations
from detui.engine.record.blocks import find
from detui.engine.record.by_iteration import shown, spread
from detui.engine.record.facts import ExperimentFacts, record_path
from detui.engine.record.gather import gather
from detui.engine.record.losses_by_iteration import LossesByIteration, Readings
from detui.engine.record.render import render
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.words import Words
from detui.engine.run.directory import RunDir
from detui.engine.run.history import load_history

GOLDEN = Path(__file__).with_name("golden")
ORDER = ("configuration", "gain", "results", "delta", "classes", "weights", "maps", "modulation-bev",
         "modulation-perspective", "fractions", "losses", "loss-terms", "goals", "claims", "caution", "evidence",
         "decisions", "conclusions")  # fmt: skip
"""Blocks in the order of the document: configurations, results, classes, weights, modulation, curves, findings, …"""


def settled(text: str) -> str:
    """A record without what depends on the moment."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= \|)", "(moment)", text)


def text_of(trial: Routed, language: str = "en") -> str:
    return record_path(trial.path, language).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Routed:
    """Three arms and three seeds, one of them stopped, trained, evaluated and filled; for tests that only read it."""
    trial = Routed(tmp_path_factory.mktemp("routed"))
    for name in trial.runs:
        if name != "no-aqr-s2":
            trial.train(name)
    trial.train("no-aqr-s2", 12, ended="stopped")
    fill(trial.path)
    return trial


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFacts:
    """The same, not evaluated, and one run of an arm with AQR stopped."""
    trial = Routed(tmp_path_factory.mktemp("told"))
    for name in trial.runs:
        stopped = name == "aqr-2.5-0.6-s2"
        trial.train(name, 12 if stopped else 30, ended="stopped" if stopped else "finished", evaluate=False)
    return gather(trial.path)


def tables(facts: ExperimentFacts, language: str = "en") -> tuple[AqrTables, AqrSettings, AqrFindings]:
    results = Results(facts, Words(language), Ledger())
    settings = AqrSettings(results)
    return AqrTables(results), settings, AqrFindings(results, settings)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_record_is_the_one_that_was_read(routed: Routed, language: str) -> None:
    text = settled(text_of(routed, language))
    golden = GOLDEN / f"aqr.{language}.md"
    if os.environ.get("DETUI_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8"), "look at what changed; DETUI_GOLDEN=write makes it the new one"


@pytest.mark.slow
def test_its_order_is_that_of_the_document_in_both_languages(routed: Routed) -> None:
    blocks = list(find(text_of(routed)))
    assert [name for name in blocks if name in ORDER] == list(ORDER)
    assert blocks == list(find(text_of(routed, "zh")))
    numbers = re.findall(r"^\*\*Table (\d+)\.", text_of(routed), re.MULTILINE)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)] and len(numbers) == 17
    assert {path.stem for path in (routed.path / "figures").iterdir()} >= set(aqr_figure.FIGURES)
    assert len(re.findall(r"to be filled in|not measured yet", text_of(routed))) == 4


def test_it_can_be_written_before_anything_has_begun(tmp_path: Path) -> None:
    facts = gather(Routed(tmp_path, seeds=(0,)).path)
    for language, missing in (("en", "not measured yet"), ("zh", "尚未测得")):
        blocks = find(render(facts, language))
        assert all(missing in blocks[name] for name in ("gain", "weights", "modulation-bev", "losses", "evidence"))
        assert "0.60–1.60" in blocks["configuration"] and "0.60–3.10" in blocks["configuration"]


def test_seeds_stand_together_and_a_stopped_run_by_itself(told: ExperimentFacts) -> None:
    table = tables(told)[0].weights("camera")
    rows = {(row[0], row[1]): row for row in table.rows}
    together = "`aqr-2.5-0.6`, 2 seeds"
    assert [step for name, step in rows if name == together] == ["50", "1000", "2000", "3000", "4000"]
    values = [told.runs[place].statistics["aqr/camera_weight_mean"].values[6] for place in (3, 4)]
    mean, spread_of = sum(values) / 2, abs(values[0] - values[1]) / 2**0.5
    assert rows[together, "4000"][2] == f"{mean:.4f} ± {spread_of:.4f}"
    stopped = [(name, step) for name, step in rows if "unfinished: 12/30" in name]
    assert [step for _, step in stopped] == ["50", "1000"], "those of the finished runs that it got to"
    assert "±" not in rows[stopped[-1]][2]
    assert not any("no-aqr" in name for name, _ in rows)


def test_a_gain_out_of_its_bounds_is_named(told: ExperimentFacts) -> None:
    _, settings, findings = tables(told)
    (line,) = settings.violated()
    assert (
        line
        == "`aqr-additive-s2`, camera: 0.600–2.871 at iteration 3000, where 0.60–2.671 is allowed; so in 1 of 8 samples"
    )
    whole = {row[0]: row for row in settings.gains().rows}
    assert whole["`aqr-2.5-0.6`, 2 seeds"][1:6] == ["0.60–1.60", "0.600–1.600", "0.600–1.600", "16",
                                                    "yes, in every sample"]  # fmt: skip
    assert whole["`aqr-additive`, 3 seeds"][5].startswith("🛑 no: `aqr-additive-s2`")
    assert next(findings.cautions()).startswith("🛑") and line in next(findings.cautions())


def test_bounds_are_those_that_the_sample_was_told_with_or_the_configured_ones(told: ExperimentFacts) -> None:
    (run,) = (run for run in told.runs if run.name == "aqr-additive-s2")
    assert [one.iteration for one in violations(run, Bounds(0.6, 3.1))] == [3000], "the clamp had not grown to 2.5 yet"
    run = replace(run, statistics={name: of for name, of in run.statistics.items() if not name.startswith("aqr/gain_")})
    assert list(violations(run, Bounds(0.6, 3.1))) == []
    assert [one.sensor for one in violations(run, Bounds(0.6, 1.6))] == ["lidar", "camera"]
    assert list(violations(run, None)) == []


def test_the_growing_clamp_stands_beside_the_maps(told: ExperimentFacts) -> None:
    table = tables(told)[0].maps()
    assert table.head[-2] == "clamp then"
    assert [table.rows[-1][place] for place in (0, 1, 2, -2)] == [
        "`aqr-additive`, 3 seeds",
        "4000",
        *["2.429 ± 0.000"] * 2,
    ]


def test_losses_are_means_over_the_steps_before(told: ExperimentFacts) -> None:
    readings = Readings(told)
    both = LossesByIteration(Results(told, Words("en"), Ledger()), readings)
    losses = both.table()
    assert losses.head[1:-1] == ["50", "1000", "2000", "3000", "4000"]
    run = told.runs[0]
    history = load_history(RunDir(told.path / "runs" / run.name))
    terms = [dict(zip(*history.series(name), strict=True)) for name in history.names() if "loss_" in name]
    first = sum((of[1] + of[49] + of[50]) / 3 for of in terms)
    assert readings.of(run).totals[50] == pytest.approx(first) and losses.rows[0][0] == "`no-aqr`, 3 seeds"
    assert losses.rows[2][3:6] == ["–"] * 3, "the stopped run had not got there"
    assert both.terms().head == ["run", "loss cls", "loss bbox", "loss dn cls", "loss dn bbox", "source"]


def test_a_loss_that_is_claimed_at_an_iteration_is_told_from_the_means(tmp_path: Path) -> None:
    claim = {"metric": "train/loss", "arm": "aqr-2.5-0.6", "value": 13.35, "iteration": 50, "source": "a document"}
    for claims, told in (([claim], True), ([{**claim, "iteration": None, "epoch": 1}], False)):
        facts = gather(Routed(tmp_path / str(told), seeds=(0,), claims=claims).path)
        assert ("of this very step" in find(render(facts, "en"))["claims"]) is told
        assert ("该步本身的损失" in find(render(facts, "zh"))["claims"]) is told


def test_cautions_have_a_reason(told: ExperimentFacts) -> None:
    lines = list(tables(told)[2].cautions())
    assert "`aqr-2.5-0.6` (2)" in lines[1] and "`no-aqr`" not in lines[1]
    assert re.search(r"`aqr-2.5-0.6` camera 3[56]\.\d % / 39\.\d % \(92\.0 %\)", lines[2])
    assert lines[3].startswith("Noised queries are drawn into the maps of `aqr-2.5-0.6`:") and len(lines) == 4


def test_a_clamp_that_was_never_reached_is_named(told: ExperimentFacts) -> None:
    """Arms that differ in it alone are one training, and their equal numbers would puzzle whoever reads them."""
    assert not any("clamp was reached in no sample" in line for line in tables(told)[2].cautions())
    runs = tuple(
        replace(run, statistics={name: replace(one, values=tuple(0.0 for _ in one.values)) if name in CLAMPED else one
                                 for name, one in run.statistics.items()})
        for run in told.runs
    )  # fmt: skip
    (line,) = (line for line in tables(replace(told, runs=runs))[2].cautions() if "clamp was reached" in line)
    assert "in no sample of `aqr-2.5-0.6`, `aqr-additive`:" in line


def test_iterations_that_are_shown() -> None:
    assert spread(list(range(1, 6)), 5) == [1, 2, 3, 4, 5] and spread(list(range(101)), 5) == [0, 25, 50, 75, 100]
    assert shown(range(1, 97)) == [1, 25, 49, 72, 96]
    assert shown(range(1, 4005)) == [50, 1000, 2000, 3000, 4000]
    assert shown(range(1, 5001)) == [50, 1000, 2000, 3000, 4000, 5000]
    assert shown([1000, 2000, 3000, 4000]) == [1000, 2000, 3000, 4000]
    assert shown(range(1000, 12001, 1000)) == [1000, 2000, 3000, 4000, 5000, 9000, 12000]
    assert shown([]) == []


@pytest.mark.parametrize(
    ("config", "known", "bounds"),
    [
        ({}, {}, {}),
        ({"model": {"clamp": 2.5, "mode": "convex"}}, {}, {}),
        (
            {"model": {"aqr_config": {"renderer_config": {"max_weight_clamp": 2.5}, "modulator_config": {
                "residual_weight": 0.6}}}},
            {"max_weight_clamp": 2.5, "residual_weight": 0.6},
            {"convex": Bounds(0.6, 1.6), "additive": Bounds(0.6, 3.1)},
        ),
        (
            {"model": {"aqr": {"max_weight_clamp": 2, "residual_weight": 0.65, "mode": "additive"}}},
            {"max_weight_clamp": 2, "residual_weight": 0.65, "mode": "additive"},
            {"additive": Bounds(0.65, 2.65)},
        ),
        ({"model": {"aqr": {"weights": "off"}}}, {"weights": "off"}, {}),
        ({"model": {"aqr": {"mode": "linear", "residual_weight": 0.6}}}, {"residual_weight": 0.6}, {}),
    ],
)  # fmt: skip
def test_settings_of_another_program_are_known_as_far_as_they_are_stated(
    config: dict, known: dict, bounds: dict
) -> None:
    assert settings_of(config, "mmdet3d") == known
    assert {
        mode: (pytest.approx(of.low), pytest.approx(of.high)) for mode, of in bounds_by_mode(known).items()
    } == bounds


def test_the_settings_of_detuis_own_model_are_whole() -> None:
    assert settings_of({"model": {"aqr": AQR["no-aqr"]}}, "torch") == AQR["no-aqr"]
    assert bounds_by_mode(AQR["no-aqr"]) == {}


def test_figures_have_a_line_a_run_and_the_goals_bands(told: ExperimentFacts) -> None:
    told.info["goals"].append(BAND)
    given = {name: aqr_figure.inputs(name, told) for name in aqr_figure.FIGURES}
    assert given["aqr_changes"]["bands"] == [["camera all", "aqr-2.5-0.6", 0.25, 0.3]]
    assert given["aqr_weights"]["bands"] == []
    assert set(given["aqr_weights"]["lines"]["lidar mean"]) == {run.name for run in told.runs if run.arm != "no-aqr"}
    assert given["aqr_bounds"]["lines"]["gain_high"]["aqr-additive-s0"][1][-1] == pytest.approx(3.1)


def imported(folder: Path, blocks: str, stated: dict[str, Any]) -> ExperimentFacts:
    """Two arms of which the second printed AQR blocks."""
    log, told = written(folder / "a.log", LOG + SECOND), written(folder / "b.txt", blocks)
    other = written(folder / "b.log", LOG + SECOND)
    return gather(import_arms(folder / "logs", [("a", [log]), ("b", [other, told])], stated=stated).path)


def test_an_imported_log_with_blocks_has_the_same_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for forward in (1000, 2000, 3000):
        for rank in (0, 1):
            training_repository.block(forward, rank)
    stated = {"b": {"model": {"aqr": {"max_weight_clamp": 2.5, "residual_weight": 0.6}}}}
    facts = imported(tmp_path, capsys.readouterr().out, stated)
    blocks = find(render(facts, "en"))
    assert "| `b` | _(not known)_ | 2.5 | 0.6 | _(not known)_ |" in blocks["configuration"]
    assert "convex 0.60–1.60; additive 0.60–3.10 (mode not known)" in blocks["configuration"]
    assert "| `a` |" + 7 * " _(not known)_ |" in blocks["configuration"]
    assert "| `b-s7` | 2000 | 0.5500 [0.5000, 0.6000] |" in blocks["weights"] and "no padding" not in blocks["weights"]
    assert "| `b-s7` | 3000 | 0.5500 [0.5000, 0.6000] | 35.00 [30.00, 40.00] |" in blocks["modulation-perspective"]
    assert "relative change, active features (%);" in blocks["modulation-perspective"], "not told"
    assert "weight_mean" not in blocks["statistics"] and "perspective_change_relative" not in blocks["statistics"]
    assert "whether modulation was convex or additive in `a`, `b`." in blocks["caution"]
    assert "amplified" not in blocks["caution"] and "gain" not in blocks["evidence"].split("|", 1)[1]
    given = aqr_figure.inputs("aqr_changes", facts)
    assert list(given["lines"]) == ["camera all"] and list(given["lines"]["camera all"]) == ["b-s7"]
    assert list(find(render(facts, "zh"))) == list(blocks)


def test_what_was_stated_of_an_imported_arm_is_no_longer_unknown(tmp_path: Path) -> None:
    settings = {"max_weight_clamp": 2.5, "residual_weight": 0.6, "mode": "additive"}
    stated = {"a": {"model": {"aqr": {"weights": "off"}}}, "b": {"model": {"aqr": settings}}}
    block = "AQR Debug Info (Forward #1000):\nlidar_weights_stats:\nmean: 0.5\n"
    blocks = find(render(imported(tmp_path, block, stated), "en"))
    assert "| `a` | off: no AQR |" in blocks["configuration"] and "| 0.60–3.10 |" in blocks["configuration"]
    assert "convex or additive" not in blocks["caution"] and "drawn into the maps of `b`," in blocks["caution"]
    assert "camera" not in blocks["weights"]


def test_an_imported_log_without_blocks_has_no_such_tables(tmp_path: Path) -> None:
    blocks = find(render(imported(tmp_path, "hello\n" + LOG, {}), "en"))
    assert not {"configuration", "weights", "caution"} & set(blocks) and "nothing to draw" in blocks["figures"]


def test_the_real_blocks_stand_in_the_tables(tmp_path: Path, shared_data: Path) -> None:
    logs = shared_data / "aqr_logs"
    both = [logs / "aqr_2.5_0.6.log", logs / "aqr_blocks_2ranks.txt"]
    arms = [("no-aqr", [logs / "no_aqr.log"]), ("aqr-2.5-0.6", both)]
    facts = gather(import_arms(tmp_path / "logs", arms).path)
    text = render(facts, "en")
    for part in (
        "| `aqr-2.5-0.6-s0` | 1000 | 0.6999 [0.6651, 0.7347] | 0.1712 [0.1606, 0.1817] |",
        "| `aqr-2.5-0.6-s0` | 1000 | 2.500 [2.500, 2.500] | 2.500 [2.500, 2.500] |",
        "| `aqr-2.5-0.6-s0` | 1000 | -0.0038 [-0.0041, -0.0036] | 35.41 [34.86, 35.96] | 1.86 [1.79, 1.93] |",
        "| `aqr-2.5-0.6` | -1.78 | -0.83 | _(not known)_ | 1.144 | 9.6 / – | 35.4 / – |",
        "| 4000 | 9.9272 | 10.1168 |",
    ):
        assert part in text
    assert "1.60" not in text.split("## Results")[0], "no bound without the mode, clamp and residual weight"
