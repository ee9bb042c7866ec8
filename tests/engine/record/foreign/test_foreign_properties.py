"""For any document: filling twice is filling once, and nothing but placeholders changes."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detui.engine.record.foreign import choose, fill_text
from detui.engine.record.foreign.places import read

LABELS = ["mAP@0.5", "mAP", "Small mAP", "**AP75**", "Precision", "参数量", "FLOPs", "car", "pedestrian", "Epoch", "50",
          "Baseline", "no-mosaic", "Loss 权重改进", "变化", "目标", "达标?", "类别", "模型", "备注", "box_loss", "时间",
          "状态", "GPU", "Git Commit", "最佳 Epoch", "a \\| b", "`x`", "", "观察", "PR curve", "FPS"]  # fmt: skip
HOLES = ["(待填写)", "?", "TBD", "___", "", "**(待填写)**", "`TBD`", "(待填写, +1)", "___ %"]
HELD = ["30.94%", "~41%", "0.412", "2.70M", ">42%", "✅", "❌ 1%", "训练中", "-", "8.3.155", "300", "why?", "x \\| TBD"]
CELLS = st.sampled_from([*HOLES, *HELD])
PADS = st.sampled_from(["", " ", "   "])


@st.composite
def tables(draw) -> str:
    width = draw(st.integers(1, 4))
    pad = draw(PADS)
    head = [draw(st.sampled_from(LABELS)) for _ in range(width)]
    rows = [[draw(st.sampled_from(LABELS)), *(draw(CELLS) for _ in range(width - 1))]
            for _ in range(draw(st.integers(0, 4)))]  # fmt: skip
    lines = [head, ["---"] * width, *rows]
    return "".join("|" + "|".join(f"{pad}{cell}{pad}" for cell in line) + "|\n" for line in lines)


@st.composite
def bullets(draw) -> str:
    form = draw(
        st.sampled_from(
            ["- {}: {}\n", "- **{}**: {}  \n", "  - {}：{}\n", "1. {}:{}\n", "**{}**: {}\n", "> - {}: {}\n"]
        )
    )
    return "".join(form.format(draw(st.sampled_from(LABELS)), draw(CELLS)) for _ in range(draw(st.integers(1, 4))))


HEADINGS = st.sampled_from(
    ["## Epoch 50\n", "## Baseline\n", "### 结果 (待填写)\n", "## car\n", "## test set\n", "text TBD\n"]
)
FENCES = st.sampled_from(["```\n- AP50: TBD\n", "```\n", "<!--\n", "-->\n", "---\n", "    - AP50: ?\n"])
DOCUMENTS = st.lists(st.one_of(tables(), bullets(), HEADINGS, FENCES, st.text(max_size=30)), max_size=7)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=DOCUMENTS, ending=st.sampled_from(["\n", "\r\n"]), typed=st.booleans(), update=st.booleans())
def test_filling_again_changes_nothing(facts, parts, ending, typed, update):
    text = "\n".join(parts).replace("\r", "").replace("\n", ending)
    options = choose(facts, typed_baseline=typed, update=update)
    once = fill_text(text, facts, options, facts.path)
    assert fill_text(once.text, facts, options, facts.path).text == once.text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=DOCUMENTS)
def test_only_placeholders_change(facts, parts):
    text = "\n".join(parts)
    filled = fill_text(text, facts, choose(facts), facts.path)
    spots = [row_spot for table in read(text).tables for row in table.rows for row_spot in row if row_spot]
    spots += [item.spot for item in read(text).items]
    holes = sorted((spot.start, spot.end) for spot in spots if spot.hole)
    edges = [0, *(edge for pair in holes for edge in pair), len(text)]
    outside = [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    assert re.fullmatch("(?s)" + ".*?".join(map(re.escape, outside)), filled.text)
    assert filled.text.count("\n") == text.count("\n") and filled.text.count("\r") == text.count("\r")


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet="|-:? \n\r\tTBD*_`#>待填写()\\.a1\ufeff", max_size=80))
def test_spans_are_exact(text):
    document = read(text)
    spots = [spot for table in document.tables for row in table.rows for spot in row if spot]
    for spot in [*spots, *(item.spot for item in document.items)]:
        assert text[spot.start : spot.end] == spot.raw and "\n" not in spot.raw
