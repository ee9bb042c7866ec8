"""A record's tables for a paper: booktabs, each with caption, label, and where the numbers of each row stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from detui.engine.record.best_of import BestOf
from detui.engine.record.components import Components
from detui.engine.record.convergence import ConvergenceTable
from detui.engine.record.facts import ExperimentFacts, Source
from detui.engine.record.interaction import InteractionTable
from detui.engine.record.milestones import Milestones
from detui.engine.record.results import MASK_MAIN, Results, references
from detui.engine.record.shares import Shares
from detui.engine.record.sources import Ledger
from detui.engine.record.tex import comment, from_markdown, needs_chinese, needs_unicode
from detui.engine.record.text import Table, plain
from detui.engine.record.words import Words

LONG = 30
"""Rows from which on a table may break across pages."""

_WIDE_TEXT = 45
"""Characters from which on a column of text is set in lines of a fixed width."""

CAPTIONS: dict[str, tuple[str, str]] = {
    "results": (
        "AP of each run's chosen checkpoint, in percent. Only finished runs enter a mean, a difference or a goal.",
        "各运行选定检查点的 AP，单位为百分数。只有已完成的运行计入均值、差值与目标。",
    ),
    "masks": (
        "AP of the masks of each run's chosen checkpoint, in percent.",
        "各运行选定检查点的掩膜 AP，单位为百分数。",
    ),
    "differences": (
        "Each arm minus the reference {}, in percent points (pp), with Welch's 95 % interval over seeds.",
        "各组减去参照组 {}，单位为百分点（pp），附种子间的 Welch 95 % 区间。",
    ),
    "best": (
        "The best arm of each group by its mean over seeds, in percent; differences in percent points (pp) with "
        "Welch's 95 % intervals, which do not count the choice. The same pictures choose and judge.",
        "各组按种子均值选出的最佳实验组，单位为百分数；差值为百分点（pp），附 Welch 95 % 区间，区间不计入选择的影响。"
        "选择与评判使用相同的图像。",
    ),
    "classes": (
        "Per class and size, in percent; mean ± standard deviation over seeds.",
        "各类别与尺寸，单位为百分数；种子间的均值 ± 标准差。",
    ),
    "milestones": (
        "At the recipe's milestones; mean over the finished seeds, AP in percent; unfinished runs stand one by one.",
        "配方规定的里程碑；已完成种子的均值，AP 为百分数；未完成的运行逐个列出。",
    ),
    "convergence": (
        "How each finished run came to its final AP, by the evaluations that there are; AP in percent, spreads in "
        "percent points (pp). (a, b]: after epoch a, and at epoch b at the latest.",
        "各已完成运行达到最终 AP 的过程，依据已有的评估；AP 为百分数，波动为百分点（pp）。"
        "(a, b]：在第 a 轮之后，最迟在第 b 轮。",
    ),
    "interaction": (
        "Arms by data sets: AP in percent, mean ± standard deviation over seeds; differences in percent points (pp) "
        "with Welch's 95 % intervals. Lower right: the differences of the differences.",
        "实验组 × 数据集：AP 为百分数，种子间的均值 ± 标准差；差值为百分点（pp），附 Welch 95 % 区间。右下：差值之差。",
    ),
    "components": (
        "What the models are made of, read from those that were built, with memory and latency as measured. Ratios are "
        "to the first arm on the same data.",
        "模型组成，读自构建出的模型；内存与延迟为测得值。比值相对于同一数据上的第一个实验组。",
    ),
    "goals": (
        "The recipe's goals; AP in percent, differences in percent points (pp).",
        "配方的目标；AP 为百分数，差值为百分点（pp）。",
    ),
    "cost": (
        "Cost of each run; the training time is the sum of its epochs, host memory the highest of samples taken "
        "once a second.",
        "各运行的开销；训练时间为各轮用时之和，主机内存为每秒采样中的最大值。",
    ),
    "shares": (
        "Shares of objects, of points that learn one, and of the gradient's magnitude at those points by size, sampled "
        "during training.",
        "各尺寸在目标、学习目标的点、以及这些点处梯度绝对值中的占比，训练中抽样。",
    ),
    "claimed": (
        "Claimed: numbers that some document states. They were not measured here.",
        "声称值：某些文献声称的数值，并非在此测得。",
    ),
    "quick": ("**{} run: not a result.**", "**{} 运行：不是结果。**"),
    "unfinished": (
        "**Not every run is finished: {} of {} are.**",
        "**尚有运行未完成：已完成 {} / {}。**",
    ),
}


def tables(facts: ExperimentFacts, language: str = "en", *, standalone: bool = False) -> str:
    """Every table of results that has rows as LaTeX, to be read by `\\input`; with `standalone` a whole document.

    The cells are those of the Markdown record. Table names: the keys of
    CAPTIONS; labels: tab:EXPERIMENT-NAME.
    """
    words, ledger = Words(language), Ledger()
    results = Results(facts, words, ledger)
    shares, components = Shares(results), Components(results)
    found = {
        "results": results.per_seed(),
        **({"masks": results.per_seed(MASK_MAIN)} if results.masks else {}),
        "differences": results.differences(results.judged),
        "best": BestOf(results).table(),
        "classes": results.per_class(),
        "milestones": Milestones(results).table(),
        "convergence": ConvergenceTable(results).table(),
        "interaction": InteractionTable(results).table(),
        "goals": results.goals(),
        "cost": results.cost(),
        **({"components": components.table()} if components.measured() else {}),
        **({"shares": shares.table()} if shares.measured() else {}),
        "claimed": results.claims(),
    }
    write = _Writer(facts, words, {mark: source for mark, source, _ in ledger.entries()})
    body = "\n".join(write.table(name, table) for name, table in found.items() if table)
    chinese = _ctex(body, language)
    head = [comment(line) for line in _about(facts, body, chinese)]
    if not standalone:
        return "\n".join([*head, "", body])
    before = [*head, "", *_preamble(chinese), r"\begin{document}"]
    return "\n".join([*before, "", body, r"\end{document}", ""])


def _ctex(body: str, language: str) -> str:
    """The package that brings fonts for Chinese, where there is Chinese text; "Table" stays English in English."""
    plain_scheme = "" if language == "zh" else "[scheme=plain]"
    return rf"\usepackage{plain_scheme}{{ctex}}" if needs_chinese(body) else ""


def _about(facts: ExperimentFacts, body: str, chinese: str) -> Iterator[str]:
    if needs_unicode(body):
        yield "!TeX program = xelatex"
    info = facts.info
    yield f"Tables of the experiment {info['id']}: recipe {info['recipe']}, profile {info.get('profile')}."
    yield "Written by detui from the run directories; paths in comments are relative to the experiment's folder."
    yield r"Needs in the preamble: \usepackage{array,booktabs,graphicx,longtable}"
    if needs_unicode(body):
        yield "It holds characters that pdflatex does not know: use xelatex or lualatex."
    else:
        yield r"and with pdflatex: \usepackage[T1]{fontenc}"
    if chinese:
        yield f"and for the Chinese text: {chinese}"


def _preamble(chinese: str) -> Iterator[str]:
    yield r"\documentclass{article}"
    yield r"\usepackage[a4paper,margin=2cm]{geometry}"
    yield r"\usepackage{array,booktabs,graphicx,longtable,iftex}"
    yield r"\ifPDFTeX\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\else\usepackage{fontspec}\fi"
    yield r"\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}"
    if chinese:
        yield chinese


class _Writer:
    """Sets the tables of one experiment."""

    def __init__(self, facts: ExperimentFacts, words: Words, marks: dict[str, Source]) -> None:
        self.facts, self.words, self.marks = facts, words, marks

    def table(self, name: str, table: Table) -> str:
        """One table: a float, or pages of rows where it is long."""
        marked = table.head[-1] == self.words("source")
        width = len(table.head) - marked  # the marks become comments
        head = self._row(table.head[:width])
        rows: list[str] = []
        for number, row in enumerate(table.rows):
            rows += [self._from(table, number, marked), self._row(self._cells(table, row)[:width])]
        columns = "".join(_column(table, column) for column in range(width))
        label = re.sub(r"[^A-Za-z0-9.:-]+", "-", f"tab:{self.facts.info['id']}-{name}")
        caption = rf"\caption{{{self._caption(name)}}}\label{{{label}}}"
        form = _long if len(table.rows) > LONG else _float
        return "\n".join([comment(name), *form(columns, caption, head, rows), ""])

    def _cells(self, table: Table, row: Sequence[str]) -> list[str]:
        """The row's cells; verdicts without their coloured signs, for which no text font has a shape."""
        verdict = self.words("verdict")
        return [self._unmarked(cell) if head == verdict else cell for head, cell in zip(table.head, row, strict=True)]

    def _unmarked(self, cell: str) -> str:
        marked = (self.words(key) for key in ("met", "not met", "inconclusive"))
        return cell.split(" ", 1)[1] if cell.startswith(tuple(marked)) else cell

    def _row(self, cells: Sequence[str]) -> str:
        return " & ".join(map(from_markdown, cells)) + r" \\"

    def _from(self, table: Table, row: int, marked: bool) -> str:
        """A comment that says where the numbers of a row stand."""
        if marked:
            told = [self.marks[mark] for mark in table.rows[row][-1].split(", ") if mark in self.marks]
        else:
            told = list(table.origins[row]) if row < len(table.origins) else []
        moments = (f"epoch {s.epoch}" if s.epoch else f"iteration {s.iteration}" if s.iteration else "" for s in told)
        places = [f"{s.file} ({at})" if at else s.file for s, at in zip(told, moments, strict=True)]
        return comment("from " + (", ".join(dict.fromkeys(places)) or "nothing measured yet"))

    def _caption(self, name: str) -> str:
        """What the table shows; that it is no result, and that runs are missing, where it is so."""
        parts = [self._words(name, references(self.facts, self.words))]
        if self.facts.quick:
            parts.append(self._words("quick", plain(self.facts.info.get("profile"))))
        if missing := self.facts.unfinished(*self.facts.arms):
            planned = len(self.facts.info["runs"])
            parts.append(self._words("unfinished", planned - len(missing), planned))
        return " ".join(map(from_markdown, parts))

    def _words(self, key: str, *values: object) -> str:
        return CAPTIONS[key][self.words.language == "zh"].format(*values)


def _column(table: Table, column: int) -> str:
    """How a column is set: numbers to the right, long text in lines."""
    longest = max((len(row[column]) for row in table.rows), default=0)
    if longest > _WIDE_TEXT:
        return r">{\raggedright\arraybackslash}p{0.25\linewidth}"
    return "r" if column in table.right else "l"


def _float(columns: str, caption: str, head: str, rows: Sequence[str]) -> Iterator[str]:
    yield from (r"\begin{table}[htbp]", r"\centering\small", caption)
    # As wide as it is, and made smaller only where the page is narrower.
    yield r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    yield from (rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule")
    yield from (r"\end{tabular}}", r"\end{table}")


def _long(columns: str, caption: str, head: str, rows: Sequence[str]) -> Iterator[str]:
    top = (r"\toprule", head, r"\midrule")
    yield from (r"\begingroup", r"\scriptsize\setlength{\tabcolsep}{3pt}", rf"\begin{{longtable}}{{{columns}}}")
    yield from (caption + r" \\", *top, r"\endfirsthead", *top, r"\endhead")
    yield from (r"\bottomrule", r"\endfoot", *rows, r"\end{longtable}", r"\endgroup")
