"""LaTeX tables: the record's numbers, TeX that is whole whatever the names are, and a document that compiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detui.engine.record.convergence import ConvergenceTable
from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.gather import gather
from detui.engine.record.latex import CAPTIONS, tables
from detui.engine.record.milestones import Milestones
from detui.engine.record.results import Results
from detui.engine.record.sources import Ledger
from detui.engine.record.tex import escape, from_markdown
from detui.engine.record.words import Words
from detui.engine.run.files import read_json, write_json

HOSTILE = "a & b % c # d_e {f} ~g ^h \\i $j <k> |l| \"m\" 'n' `o` [p] *q* --r ---s ,,t '' -1 ±× é ß Ł"
NUMBER = re.compile(r"[-+]?\d[\d,.]*\d|[-+]?\d")


def bodies(text: str) -> dict[str, tuple[str, list[str]]]:
    """Each table's column specification and its rows, the header first, by the name in its label."""
    found = {}
    for block in re.split(r"(?=\\begin\{table\}|\\begingroup)", text)[1:]:
        name = re.search(r"\\label\{tab:[^}]*-([a-z]+)\}", block)[1]
        columns = re.search(r"\\begin\{(?:tabular|longtable)\}\{(.*)\}$", block, re.MULTILINE)[1]
        inside = block[block.index("\\toprule") :]
        if "\\endfirsthead" in inside:
            head = inside[: inside.index("\\endfirsthead")]
            inside = head + inside[inside.index("\\endfoot") :]
        rows = [line for line in inside.splitlines() if line.endswith(r"\\")]
        assert rows
        found[name] = (columns, rows)
    return found


def cells(row: str) -> list[str]:
    return re.split(r"(?<!\\)&", row.removesuffix(r"\\"))


def width(columns: str) -> int:
    return len(re.sub(r">\{[^}]*\}p\{[^}]*\}", "l", columns))


def check_structure(text: str) -> None:
    code = re.sub(r"^%.*$", "", text, flags=re.MULTILINE)
    depth = 0
    for mark in re.findall(r"\\[{}]|[{}]", code.replace("\\\\", "")):
        depth += {"{": 1, "}": -1}.get(mark, 0)
        assert depth >= 0
    assert depth == 0
    for name, (columns, rows) in bodies(text).items():
        assert {len(cells(row)) for row in rows} == {width(columns)}, name
    begun = re.findall(r"\\(begin|end)\{(\w+)\}", code)
    assert [kind for kind, _ in begun].count("begin") == [kind for kind, _ in begun].count("end")


@pytest.fixture
def full(make_trial):
    """Two arms by three seeds, full profile, with goals, claims and differences."""
    trial = make_trial(profile="full", seeds=(0, 1, 2))
    trial.train_all()
    return gather(trial.path)


def markdown_rows(facts: ExperimentFacts, language: str) -> dict[str, list[list[str]]]:
    results = Results(facts, Words(language), Ledger())
    found = {"results": results.per_seed(), "differences": results.differences(), "classes": results.per_class(),
             "milestones": Milestones(results).table(), "convergence": ConvergenceTable(results).table(),
             "goals": results.goals(), "cost": results.cost(),
             "claimed": results.claims()}  # fmt: skip
    marked = Words(language)("source")
    return {name: [list(row[:-1] if table.head[-1] == marked else row) for row in table.rows]
            for name, table in found.items()}  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_numbers_are_those_of_the_record(full: ExperimentFacts, language: str) -> None:
    text = tables(full, language)
    check_structure(text)
    expected, found = markdown_rows(full, language), bodies(text)
    assert list(found) == list(expected) == [name for name in CAPTIONS if name in expected]
    for name, rows in expected.items():
        plain = [row.replace("$-$", "-").replace("--", "–") for row in found[name][1][1:]]
        told = [[NUMBER.findall(cell) for cell in cells(row)] for row in plain]
        assert told == [[NUMBER.findall(cell.replace("−", "-")) for cell in row] for row in rows], name
    assert sum(len(NUMBER.findall(cell)) for rows in expected.values() for row in rows for cell in row) > 150


def test_each_row_says_where_its_numbers_stand(full: ExperimentFacts) -> None:
    lines = tables(full).splitlines()
    rows = [number for number, line in enumerate(lines) if line.endswith(r"\\") and lines[number - 1][0] == "%"]
    named = [re.findall(r"runs/\S+?\.jsonl", lines[number - 1]) for number in rows]
    assert all((full.path / file).is_file() for files in named for file in files)
    (delta,) = [files for number, files in zip(rows, named, strict=True) if "no-mosaic} & AP &" in lines[number]]
    assert delta == [f"runs/{run.name}/attempts/1/evaluations.jsonl" for run in full.runs]
    (claimed,) = [files for number, files in zip(rows, named, strict=True) if "seed document" in lines[number]]
    assert claimed == [f"runs/baseline-s{seed}/attempts/1/evaluations.jsonl" for seed in range(3)]
    (none,) = [lines[number - 1] for number in rows if "none" in lines[number] and "small: " in lines[number]]
    assert none == "% from nothing measured yet"


def test_claimed_numbers_stand_apart_and_are_called_so(full: ExperimentFacts) -> None:
    text = tables(full)
    caption = re.search(r"\\caption\{(.*?)\}\\label\{tab:[^}]*-claimed\}", text)[1]
    assert caption.startswith("Claimed:") and "not measured here" in caption
    _, (head, row) = bodies(text)["claimed"]
    assert "claimed & source of the claim & measured" in head and "seed document, line 35" in row
    assert text.count("seed document") == 1


def captions(text: str) -> list[str]:
    return re.findall(r"\\caption\{(.*)\}\\label", text)


def test_a_whole_full_experiment_has_plain_captions(full: ExperimentFacts) -> None:
    assert not [caption for caption in captions(tables(full)) if "not a result" in caption or "finished:" in caption]


def test_captions_say_what_is_no_result_and_what_is_not_finished(trial) -> None:
    trial.train("baseline-s0")
    facts = gather(trial.path)
    assert len(captions(tables(facts))) == 8
    for caption in captions(tables(facts)):
        assert r"\textbf{quick run: not a result.} \textbf{Not every run is finished: 1 of 4 are.}" in caption
    for caption in captions(tables(facts, "zh")):
        assert r"\textbf{quick 运行：不是结果。} \textbf{尚有运行未完成：已完成 1 / 4。}" in caption


def hostile(path: Path, classes: tuple[str, ...], to: Path) -> ExperimentFacts:
    """The facts of a copy whose plan names these classes, arm titles and sources."""
    copy = shutil.copytree(path, to / path.name)
    facts = read_json(copy / "experiment.json")
    facts["data"]["classes"] = list(classes)
    facts["claims"][0]["source"] = " ".join(classes)
    facts["goals"][0]["title"] = " ".join(classes)
    facts["profile"] = HOSTILE
    write_json(copy / "experiment.json", facts)
    return gather(copy)


def test_hostile_names_leave_the_tables_whole_and_long_ones_go_over_pages(finished, tmp_path: Path) -> None:
    classes = (
        HOSTILE,
        "[x]",
        "*",
        "\\\\[2cm]",
        "line\nbreak",
        "汽车",
        "🚲",
        "x" * 300,
        "\x07\ud800",
        *map(str, range(71)),
    )
    text = tables(hostile(finished.path, classes, tmp_path))
    check_structure(text)
    columns, rows = bodies(text)["classes"]
    assert len(rows) == 161 and width(columns) == 7 and r"\begin{longtable}" in text
    assert not [line for line in text.splitlines() if line.startswith(("[", "*"))]
    assert "% !TeX program = xelatex" in text and "ctex" in text
    text.encode()


@settings(max_examples=200, deadline=None)
@given(st.text(st.one_of(st.sampled_from("\\{}$&%#_~^<>|\"'`[]*-,.0 \n"), st.characters()), max_size=30))
def test_any_text_leaves_the_braces_balanced_and_the_columns_alone(name: str) -> None:
    told = escape(name)
    assert not re.search(r"(?<!\\)[&%#_]", told.replace("\\\\", "")) and "\n" not in told
    depth = [0]
    for mark in re.findall(r"\\[{}]|[{}]", told):
        depth.append(depth[-1] + {"{": 1, "}": -1}.get(mark, 0))
    assert min(depth) == 0 == depth[-1]


def test_what_markdown_marks_tex_marks() -> None:
    assert from_markdown("**`a_b`** _(not yet)_") == r"\textbf{\texttt{a\_b}} \emph{(not yet)}"
    assert from_markdown("`a\\|b` &lt; \\*") == r"\texttt{a\textbar{}b} \textless{} {*}"
    assert from_markdown("[-1.2, +0.3]") == "{[}$-$1.2, +0.3{]}"
    assert from_markdown("no-mosaic-2 -- s0: -0.4") == "no-mosaic-2 -{}- s0: $-$0.4"


def compiles(text: str, folder: Path, program: str, *packages: str) -> str:
    """Compile a document and return the log; skip, saying so, where TeX is absent."""
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}, which is not installed")
    for package in ("booktabs", "longtable", *packages):
        if not subprocess.run(["kpsewhich", f"{package}.sty"], capture_output=True, text=True).stdout:
            pytest.skip(f"needs the LaTeX package {package}, which is not installed")
    (folder / "tables.tex").write_text(text)
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / "tables.pdf").read_bytes().startswith(b"%PDF")
    return (folder / "tables.log").read_text(errors="replace")


def test_the_standalone_document_compiles_with_pdflatex(finished, tmp_path: Path) -> None:
    classes = (HOSTILE, "[x]", "*", "\\\\[2cm]", "line\nbreak", "x" * 300, *map(str, range(30)))
    text = tables(hostile(finished.path, classes, tmp_path), standalone=True)
    check_structure(text)
    log = compiles(text, tmp_path, "pdflatex")
    assert "Missing character" not in log


def test_the_chinese_document_compiles_with_xelatex(finished, tmp_path: Path) -> None:
    facts = hostile(finished.path, (HOSTILE, "汽车|人", "🚲", "עברית"), tmp_path)
    log = compiles(tables(facts, "zh", standalone=True), tmp_path, "xelatex", "ctex", "fontspec")
    assert not re.search("Missing character: There is no [\u3000-\u9fff]", log)


def test_the_tables_alone_are_read_by_a_document(finished, tmp_path: Path) -> None:
    (tmp_path / "results.tex").write_text(tables(gather(finished.path)))
    document = r"""\documentclass{article}\usepackage[T1]{fontenc}\usepackage{array,booktabs,graphicx,longtable}
\begin{document}\input{results}Table~\ref{tab:starter.mosaic-20261120-134500-results}\end{document}"""
    compiles(document, tmp_path, "pdflatex")
