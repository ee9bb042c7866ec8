"""Names that somebody else chose stay text: in Markdown, HTML and CSV, in both languages, in tables of any size."""

from __future__ import annotations

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.rules_block.table import escapedSplit

from detui.engine.record import fill, record_path
from detui.engine.record.blocks import find
from detui.engine.record.export import export
from detui.engine.record.text import Table, code, one_line, plain
from detui.engine.run.files import read_json, write_json

NAMES = (
    "a|b", "a\\|b", "a\\", "|", "`tick`", "``", "<b>bold</b>", "<script>alert(1)</script>", "line\nbreak\r\nand\ttab",
    "**strong** _em_ __init__", "[link](http://x.y)", "![image](x.png)", "<!-- detui:end results -->", "<!-- open",
    "-->", "&amp; &lt; &#35;", "🚲 bicycle 🏳️‍🌈", "עברית العربية", "\u202eright to left", "汽车|人", "# heading", "C #",
    "- item", "1. first", "---", "===", "+", "~~gone~~", "$x$", "'single' \"double\"", "a" * 300, "x " * 150,
    "=1+1", "a,b;c", "https://example.org/?a=b&c", "%s {} {0} {{ arm }} {% raw %}", "\\begin{x}", "nbsp\u00a0here",
)  # fmt: skip
CLASSES = (*NAMES, *(f"class {number}" for number in range(80 - len(NAMES))))


@pytest.fixture(scope="module")
def hostile(finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished experiment in which everything that a person or a data set names is hostile."""
    path = shutil.copytree(finished.path, tmp_path_factory.mktemp("hostile") / finished.path.name)
    names = "\n".join(NAMES[:30])
    facts = read_json(path / "experiment.json")
    for arm in facts["arms"]:
        arm["title"] = {"en": names, "zh": names}
    facts |= {"title": names, "question": names, "note": names, "tags": list(NAMES), "warnings": list(NAMES)}
    facts["command"], facts["overrides"] = names, list(NAMES)
    facts["claims"][0]["source"] = names
    facts["goals"][0]["title"] = {"en": names, "zh": names}
    facts["data"] |= {"classes": list(CLASSES), "title": names}
    facts["data"]["problems"] = [{"kind": "x|y", "action": "<b>", "count": 2, "examples": list(NAMES)}]
    facts["differs"] = {f"train.{name}": {"baseline": name, "no-mosaic": [name]} for name in NAMES}
    facts["fairness"] = [{"level": "note", "field": name, "text": name} for name in NAMES]
    write_json(path / "experiment.json", facts)
    for file in path.glob("runs/*/attempts/1/evaluations.jsonl"):
        _rename(file)
    for language in ("en", "zh"):
        record_path(path, language).unlink()
    (path / "record.json").unlink()
    fill(path)
    return path


def _rename(evaluations: Path) -> None:
    """Give what the evaluator measured of its first class to every class."""
    lines = [json.loads(line) for line in evaluations.read_text().splitlines()]
    for line in lines:
        values = line["values"]
        kept = {name: value for name, value in values.items() if name.count("/") == 1}
        of = {name.split("/")[1]: value for name, value in values.items() if name.endswith("/disc")}
        line["values"] = kept | {f"val/{metric}/{name}": of[metric] for metric in of for name in CLASSES}
    evaluations.write_text("".join(json.dumps(line) + "\n" for line in lines))


def parsed(text: str):
    """The tokens of a Markdown reader, those within a line included."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        yield from token.children or ()


def tables(text: str) -> list[list[list[str]]]:
    """Each table's rows as the texts that a reader sees in their cells. Every row must have the header's cells."""
    lines, found, cell = text.split("\n"), [], False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
            widths = {len(escapedSplit(lines[number].strip())) for number in range(*token.map)}
            assert len(widths) == 1, lines[token.map[0]]  # the reader would cut and fill rows without a word
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("th_open", "td_open"):
            cell = True
        elif token.type == "inline" and cell:
            found[-1][-1].append("".join(part.content for part in token.children))
            cell = False
    return found


def normal(name: str) -> str:
    """On one line; and no name turns the direction of what follows it."""
    return " ".join(name.split()).replace("\u202e", "\ufffd")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_record_stays_a_document(hostile: Path, language: str) -> None:
    text = record_path(hostile, language).read_text()
    blocks = re.findall(r'call block\("(\w+)"\)', _template(language))
    assert list(find(text)) == blocks and len(blocks) > 15
    html = [token.content.strip() for token in parsed(text) if token.type in ("html_block", "html_inline")]
    assert all(re.fullmatch(r"<!-- detui:(begin|end) \w+ -->", content) for content in html), html
    assert len(html) == 2 * len(blocks)
    assert not [token for token in parsed(text) if token.type == "link_open"]
    headings = [token for token in parsed(text) if token.type == "heading_open"]
    # The title stands in the parts that templates have in common.
    assert len(headings) == 1 + len(re.findall(r"^#+ ", _template(language), re.MULTILINE))
    assert [token.tag for token in headings].count("h1") == 1


def _template(language: str) -> str:
    from importlib import resources

    text = (resources.files("detui.recipes") / "templates" / f"default.{language}.md.jinja").read_text()
    # The hostile recipe asks for no best arm of each group.
    return re.sub(r"\{% if best\.asked %\}\n.*?\{% endif %\}\n", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_class_is_there_under_its_name(hostile: Path, language: str) -> None:
    found = tables(find(record_path(hostile, language).read_text())["classes"])
    assert [row[0] for row in found[0][1:]] == [normal(name) for name in CLASSES for _ in range(2)]
    arms = {row[1] for row in found[0][1:]}
    assert arms == {"baseline", "no-mosaic"} and all(row[2] for row in found[0])


def test_names_elsewhere_are_whole_too(hostile: Path) -> None:
    blocks = find(record_path(hostile).read_text())
    setup = dict(tables(blocks["setup"])[0])
    assert setup["classes"] == f"{len(CLASSES)}: " + ", ".join(map(normal, CLASSES))
    assert setup["note"] == normal("\n".join(NAMES[:30]))
    fields = [row[0] for row in tables(blocks["differs"])[0][1:]]
    # Of what looks like a block's own comment the record keeps the look and takes the effect.
    assert fields == [f"train.{normal(name)}".replace("<!-- detui", "<!- - detui") for name in NAMES]
    problems = [token for token in parsed(blocks["setup"]) if token.type == "list_item_open"]
    assert len(problems) == 2 * len(NAMES)  # the data's problems and the plan's warnings, one item each
    title = next(token for token in parsed(blocks["title"]) if token.type == "inline")
    assert "".join(part.content for part in title.children) == normal("\n".join(NAMES[:30]))


def test_filled_again_it_is_the_same(hostile: Path) -> None:
    before = record_path(hostile).read_bytes()
    fill(hostile)
    assert record_path(hostile).read_bytes() == before


class _Page(HTMLParser):
    """What a browser would see: the tags, and the text of each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self._inside = False

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("td", "th"):
            self._inside = True
            self.cells.append("")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.cells[-1] += data


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_shows_names_and_obeys_none(hostile: Path, tmp_path: Path, language: str) -> None:
    text = export(hostile, "html", tmp_path, language=language)[0].read_text()
    page = _Page()
    page.feed(text)
    assert {normal(name) for name in CLASSES} <= set(page.cells)
    assert not page.tags & {"script", "b", "a", "iframe"} and "</html>" in text[-10:]
    assert "detui:begin" not in text  # detui's own comments are gone, and nothing between two of other people's
    assert "provenance" in text.lower() or "出处" in text


def test_csv_is_read_back_as_it_was(hostile: Path, tmp_path: Path) -> None:
    (path,) = export(hostile, "csv", tmp_path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = [row for row in rows if row["role"] == "chosen" and row["run"] == "baseline-s0"]
    assert {row["metric"] for row in chosen} >= {f"val/AP/{name}" for name in CLASSES}
    assert all(len(row) == 11 and None not in row and float(row["value"]) >= 0 for row in rows)


def test_a_table_of_two_hundred_columns() -> None:
    names = [CLASSES[number % len(CLASSES)] for number in range(200)]
    (rows,) = tables(str(Table([plain(name) for name in names], [[code(name) for name in names]] * 3)))
    assert rows == [[normal(name) for name in names]] * 4


ANY = st.text(st.one_of(st.sampled_from("|\\`*_[]<>~#&-=+.1 \n\t$!():"), st.characters()), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None)
@given(ANY)
@example("\x00\x07\x1b[31m\x9f")
@example("\ud800 half a pair")
@example("1) x")
def test_any_text_is_itself_in_a_cell_and_in_a_line(name: str) -> None:
    expected = one_line(name)
    if not expected:
        return
    document = f"{Table(['head', 'head'], [[plain(name), code(name)]])}\n\n- {plain(name)}\n\n# {plain(name)}\n"
    assert tables(document) == [[["head", "head"], [expected, expected]]]
    tokens = [token for token in parsed(document) if token.type == "inline"]
    assert ["".join(part.content for part in token.children) for token in tokens[-2:]] == [expected] * 2
    assert [token.tag for token in parsed(document) if token.type == "heading_open"] == ["h1"]
    one_line(name).encode("utf-8", "surrogateescape")
