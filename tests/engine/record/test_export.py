"""Exports stand alone, say the same, and cannot be led astray by what they quote."""

from __future__ import annotations

import base64
import csv
import re
import shutil

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
    assert len(pictures) == 4 and all(p.startswith("data:image/png;base64,") for p in pictures)
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


def test_markdown_brings_its_figures(copy, tmp_path):
    written = export(copy, "md", tmp_path / "out.md")
    assert {path.name for path in written} == {"out.md", "losses.png", "ap.png", "pr.png", "detections.png"}
    links = re.findall(r"!\[[^\]]*\]\(<([^>]+)>\)", (tmp_path / "out.md").read_text())
    assert len(links) == 4 and all((tmp_path / link).is_file() for link in links)


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
