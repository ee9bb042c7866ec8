"""Exports stand alone, say the same, and cannot be led astray by what they quote."""

from __future__ import annotations

import base64
import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from detui.engine.errors import MissingError, UsageError
from detui.engine.record import fill, record_path
from detui.engine.record.export import export
from detui.engine.record.gather import gather


@pytest.fixture
def copy(finished, tmp_path):
    """A finished experiment of one's own to change."""
    return shutil.copytree(finished.path, tmp_path / finished.path.name)


def test_html_is_one_file_with_the_figures_inside(copy, tmp_path):
    (written,) = export(copy, "html", tmp_path / "r.html")
    page = written.read_text()
    pictures = re.findall(r'<img src="([^"]+)"', page)
    assert len(pictures) == 5 and all(p.startswith("data:image/png;base64,") for p in pictures)
    assert base64.b64decode(pictures[1].split(",")[1]) == (copy / "figures" / "ap.png").read_bytes()
    assert "detui:begin" not in page and "<table>" in page and 'lang="en"' in page and "tri&lt;b&gt;angle" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    (chinese,) = export(copy, "html", tmp_path / "z.html", language="zh")
    assert 'lang="zh"' in chinese.read_text() and "轻量检测器" in chinese.read_text()


def test_html_runs_nothing_and_reads_nothing_else(copy, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    path = record_path(copy)
    path.write_text(
        path.read_text() + "\n<script>alert(1)</script>\n\n![x](../secret.png)\n\n[y](javascript:alert(1))\n"
    )
    page = export(copy, "html", tmp_path / "r.html")[0].read_text()
    assert (
        "<script>" not in page and base64.b64encode(b"secret").decode() not in page and 'href="javascript' not in page
    )


def test_html_loads_nothing_and_tells_no_comments(copy, tmp_path):
    path = record_path(copy)
    more = (
        "![far](http://example.org/x.png)\n\n<!-- for me alone -->\n\n`<!-- not closed`\n\nkept\n\n<div>shown</div>\n"
    )
    path.write_text(path.read_text() + f"\n{more}")
    page = export(copy, "html", tmp_path / "r.html")[0].read_text()
    assert not re.search(r"""<[^>]+(?:src|href)\s*=\s*["']?(?!["']?data:)""", page)
    assert "[far: http://example.org/x.png]" in page and "for me alone" not in page
    assert (
        "<code>&lt;!-- not closed</code>" in page and "<p>kept</p>" in page and "&lt;div&gt;shown&lt;/div&gt;" in page
    )
    assert "<title>Mosaic for a nano detector</title>" in page


def test_markdown_brings_its_figures(copy, tmp_path):
    written = export(copy, "md", tmp_path / "out.md")
    names = {"losses.png", "ap.png", "pr.png", "detections.png", "failures.png"}
    assert {path.name for path in written} == {"out.md", *names}
    links = re.findall(r"!\[[^\]]*\]\(<([^>]+)>\)", (tmp_path / "out.md").read_text())
    assert len(links) == 5 and all((tmp_path / link).is_file() for link in links)


def test_csv_holds_every_number_unrounded_with_its_source(copy, tmp_path):
    (written,) = export(copy, "csv", tmp_path)
    assert written == tmp_path / f"{copy.name}.csv"
    rows = list(csv.DictReader(written.read_text().splitlines()))
    facts = gather(copy)
    for run in facts.runs:
        for metric in ("val/AP", "val/AP_small/box|with pipe"):
            (row,) = [r for r in rows if (r["run"], r["metric"], r["role"]) == (run.name, metric, "chosen")]
            assert float(row["value"]) == run.chosen["values"][metric] and row["epoch"] == str(run.chosen["epoch"])
            assert (copy / row["file"]).is_file() and row["profile"] == "quick"
            assert row["state"] == "finished"
    assert {row["role"] for row in rows} == {"chosen", "milestone", "cost"}
    assert "" not in {row["value"] for row in rows}


def test_an_unfinished_experiment_says_so_on_top(trial, tmp_path):
    trial.train("baseline-s0")
    fill(trial.path)
    assert "Not every run" in export(trial.path, "md", tmp_path / "out.md")[0].read_text().splitlines()[0]


def test_bad_requests_are_errors(copy, tmp_path):
    with pytest.raises(UsageError, match="pdf"):
        export(copy, "pdf", tmp_path)
    with pytest.raises(MissingError, match="folder"):
        export(copy, "html", tmp_path / "absent" / "r.html")
    record_path(copy).unlink()
    with pytest.raises(MissingError, match="detui record fill"):
        export(copy, "md", tmp_path / "out.md")


def test_latex_goes_by_its_suffix(copy, tmp_path):
    (written,) = export(copy, "latex", tmp_path)
    assert written == tmp_path / f"{copy.name}.tex" and r"\begin{document}" not in written.read_text()
    (whole,) = export(copy, "latex", tmp_path / "whole.tex", standalone=True)
    assert r"\begin{document}" in whole.read_text()


@pytest.mark.parametrize("form", ["md", "html", "latex", "csv"])
def test_what_somebody_else_wrote_is_not_lost(copy, tmp_path, form):
    target = tmp_path / "mine"
    target.write_text("mine")
    with pytest.raises(UsageError, match="in the way") as caught:
        export(copy, form, target)
    assert caught.value.exit_code == 2 and "--force" in str(caught.value) and caught.value.where == str(target)
    assert target.read_text() == "mine" and not (tmp_path / "mine-figures").exists()
    export(copy, form, target, force=True)
    ours = target.read_bytes()
    export(copy, form, target)
    assert target.read_bytes() == ours
    target.write_bytes(ours + b"a note")
    with pytest.raises(UsageError, match="changed it since"):
        export(copy, form, target)


def test_its_own_file_is_renewed_without_a_word(trial, tmp_path):
    trial.train("baseline-s0")
    fill(trial.path)
    first = export(trial.path, "html", tmp_path / "r.html")[0].read_bytes()
    trial.train("baseline-s1")
    fill(trial.path)
    assert export(trial.path, "html", tmp_path / "r.html")[0].read_bytes() != first


def test_the_same_content_is_in_nobodys_way(copy, tmp_path):
    (written,) = export(copy, "csv", tmp_path / "r.csv")
    (copy / "exports.json").unlink()
    before = written.stat().st_mtime_ns
    assert export(copy, "csv", written) == [written] and written.stat().st_mtime_ns == before


def test_a_changed_figure_keeps_the_whole_export_back(copy, tmp_path):
    _, figure, *_ = export(copy, "md", tmp_path / "out.md")
    figure.write_bytes(b"my own drawing")
    path = record_path(copy)
    path.write_text(path.read_text() + "\nMy words.\n")
    with pytest.raises(UsageError, match=re.escape("in the way")):
        export(copy, "md", tmp_path / "out.md")
    assert "My words." not in (tmp_path / "out.md").read_text() and figure.read_bytes() == b"my own drawing"


def test_an_experiment_that_cannot_be_written_is_exported_all_the_same(copy, tmp_path, caplog):
    (copy / f".exports.json.{os.getpid()}.tmp").mkdir()  # in the way of whatever is written there, also by root
    assert export(copy, "csv", tmp_path / "r.csv")[0].is_file()
    assert "--force is needed" in caplog.text and not (copy / "exports.json").exists()


def detui(*arguments):
    command = [Path(sys.executable).with_name("detui"), "record", "export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_command_refuses_with_a_place_and_a_next_step(copy, tmp_path):
    target = tmp_path / "r.tex"
    target.write_text("mine")
    done = detui(copy, "--format", "latex", "--to", target)
    assert done.returncode == 2 and str(target) in done.stderr and "--force" in done.stderr and done.stdout == ""
    done = detui(copy, "--format", "latex", "--standalone", "--to", target, "--force")
    assert (done.returncode, done.stdout) == (0, f"{target}\n") and r"\documentclass" in target.read_text()


def test_options_go_with_their_format(copy, tmp_path):
    for arguments in (["--standalone"], ["--format", "csv", "--follow"]):
        done = detui(copy, *arguments, "--to", tmp_path)
        assert done.returncode == 2 and "goes with --format" in done.stderr and not list(tmp_path.glob("*.html"))
