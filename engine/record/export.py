"""A record in other shapes: Markdown with its figures beside it, one HTML file, or a long table of numbers."""

from __future__ import annotations

import base64
import csv
import html
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from detui.engine.errors import MissingError, UsageError
from detui.engine.record.facts import ExperimentFacts, Measured, RunFacts, record_path
from detui.engine.record.gather import gather
from detui.engine.record.words import Words
from detui.engine.run.files import write_error, write_whole

_IMAGE = re.compile(r'(<img src=")([^"]+)(")')
_LINK = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
_COMMENT = re.compile(r"<!--.*?-->\r?\n?", re.DOTALL)
COLUMNS = ("arm", "seed", "metric", "value", "epoch", "run", "attempt", "file", "role", "profile", "state")


def export(experiment_dir: Path, form: str, to: Path, *, language: str = "en") -> list[Path]:
    """Write the record to `to` as "md", "html" or "csv"; return what was written.

    A folder for `to` gets a file named after the experiment. Raises
    UsageError, MissingError, RunError.
    """
    if form not in FORMS:
        raise UsageError(f"There is no format {form!r}.", where="--format", hint=" | ".join(FORMS))
    if to.is_dir():
        to = to / f"{experiment_dir.name}.{form}"
    if not to.parent.is_dir():
        raise MissingError("There is no such folder.", where=str(to.parent), hint=f"mkdir -p {to.parent}")
    return FORMS[form](experiment_dir, to, language)


def _markdown(experiment: Path, to: Path, language: str) -> list[Path]:
    text = _record(experiment, language)
    folder = to.with_name(f"{to.stem}-figures")
    written = [to]
    for name in sorted(set(_LINK.findall(text))):
        figure = experiment / name
        if not figure.is_file() or not figure.resolve().is_relative_to(experiment.resolve()):
            continue
        try:
            folder.mkdir(exist_ok=True)
            shutil.copyfile(figure, folder / figure.name)
        except OSError as error:
            raise write_error(folder, error) from error
        text = text.replace(f"]({name})", f"](<{folder.name}/{figure.name}>)")
        written.append(folder / figure.name)
    write_whole(to, text.encode("utf-8", "surrogateescape"))
    return written


def _html(experiment: Path, to: Path, language: str) -> list[Path]:
    from markdown_it import MarkdownIt

    text = _COMMENT.sub("", _record(experiment, language))
    # Raw HTML stays text: a record may quote file and class names that somebody else chose.
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = _IMAGE.sub(lambda match: match[1] + _inlined(experiment, html.unescape(match[2])) + match[3], body)
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    page = PAGE.format(language=language, title=html.escape(title[1] if title else experiment.name), body=body)
    write_whole(to, page.encode("utf-8", "replace"))
    return [to]


def _inlined(experiment: Path, name: str) -> str:
    """A figure as a data URI; any other address as it is."""
    path = experiment / name
    if path.suffix != ".png" or not path.is_file() or not path.resolve().is_relative_to(experiment.resolve()):
        return html.escape(name)
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _csv(experiment: Path, to: Path, language: str) -> list[Path]:
    facts = gather(experiment)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(facts))
    write_whole(to, buffer.getvalue().encode("utf-8", "surrogateescape"))
    return [to]


def _rows(facts: ExperimentFacts) -> Iterator[tuple[object, ...]]:
    """One row a number: every evaluation of every run, the chosen one marked, then the run's cost."""
    profile = facts.info.get("profile")
    for run in facts.runs:
        for line in run.evaluations:
            role = "chosen" if run.chosen and line["epoch"] == run.chosen["epoch"] else "milestone"
            for metric in line["values"]:
                if found := run.value(metric, line):
                    yield _row(run, metric, found, role, profile)
        for metric, found in run.cost.items():
            yield _row(run, metric, found, "cost", profile)


def _row(run: RunFacts, metric: str, found: Measured, role: str, profile: object) -> tuple[object, ...]:
    source = found.source
    return (
        run.arm,
        run.seed,
        metric,
        repr(found.value),
        source.epoch,
        source.run,
        source.attempt,
        source.file,
        role,
        profile,
        run.state,
    )


def _record(experiment: Path, language: str) -> str:
    """The record as it stands, with a first line that says so while the experiment has not ended well."""
    path = record_path(experiment, language)
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        raise MissingError(
            "This experiment has no record yet.", where=str(path), hint=f"detui record fill {experiment.name}"
        ) from None
    facts = gather(experiment)
    if all(run.state == "finished" for run in facts.runs):
        return text
    return f"> {Words(language)('unfinished')}\n\n{text}"


FORMS: dict[str, Callable[[Path, Path, str], list[Path]]] = {"md": _markdown, "html": _html, "csv": _csv}

PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a;
  font: 16px/1.55 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }}
h1, h2, h3 {{ line-height: 1.25; margin-top: 2em; }}
h1 {{ margin-top: 0; }}
table {{ border-collapse: collapse; margin: 1em 0; font-size: 0.9em; display: block; overflow-x: auto; }}
th, td {{ border: 1px solid #d0d0d0; padding: 0.3em 0.6em; vertical-align: top; }}
th {{ background: #f3f3f3; text-align: left; }}
tr:nth-child(even) td {{ background: #fafafa; }}
code {{ background: #f3f3f3; padding: 0.1em 0.3em; border-radius: 3px; font-size: 0.92em; }}
pre {{ background: #f3f3f3; padding: 0.8em 1em; overflow-x: auto; }}
pre code {{ background: none; padding: 0; }}
blockquote {{ margin: 1em 0; padding: 0.4em 1em; border-left: 4px solid #d55e00; background: #fff6ef; }}
img {{ max-width: 100%; }}
@media print {{ table {{ display: table; }} body {{ max-width: none; }} }}
</style>
</head>
<body>
{body}
</body>
</html>
"""
