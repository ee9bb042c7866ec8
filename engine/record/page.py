"""A record as one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def page(experiment: Path, text: str, language: str) -> str:
    """Markdown as HTML, the experiment's figures inside. Nothing in it runs, and nothing is loaded from elsewhere."""
    markdown = reader()
    tokens = markdown.parse(text)
    for token in tokens:
        for part in token.children or ():
            if part.type == "image":
                _take_in(part, experiment)
    body = markdown.renderer.render(tokens, markdown.options, {})
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    return PAGE.format(language=language, title=html.escape(_title(tokens) or experiment.name), body=body)


def reader() -> MarkdownIt:
    """A Markdown reader that shows raw HTML as text: a record may quote names that somebody else chose.

    Comments, detui's own and people's, are not shown.
    """
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark").enable("table")
    markdown.add_render_rule("html_block", _raw_block)
    markdown.add_render_rule("html_inline", _raw)
    return markdown


def _raw(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    return html.escape(_COMMENT.sub("", tokens[index].content))


def _raw_block(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _environment: Any) -> str:
    text = _COMMENT.sub("", tokens[index].content).strip()
    return f"<p>{html.escape(text)}</p>\n" if text else ""


def _title(tokens: Sequence[Token]) -> str:
    """The text of the first heading of the first level."""
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            return "".join(part.content for part in content.children or ())
    return ""


def _take_in(image: Token, experiment: Path) -> None:
    """Make a figure of the experiment part of the page; any other picture becomes its address as text."""
    name = str(image.attrs.get("src", ""))
    path = experiment / name
    if path.suffix == ".png" and path.is_file() and path.resolve().is_relative_to(experiment.resolve()):
        image.attrs["src"] = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
        return
    image.type, image.tag, image.content = "text", "", f"[{image.content}: {name}]"


PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
html {{ color-scheme: light; background: #fff; }}
body {{ max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; overflow-wrap: break-word;
  font: 16px/1.55 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }}
h1, h2, h3 {{ line-height: 1.25; margin-top: 2em; }}
h1 {{ margin-top: 0; }}
.wide {{ overflow-x: auto; margin: 1em 0; }}
table {{ border-collapse: collapse; font-size: 0.9em; }}
th, td {{ border: 1px solid #d0d0d0; padding: 0.3em 0.6em; vertical-align: top; max-width: 26rem; }}
td:has(code) {{ max-width: none; }}
th {{ background: #f3f3f3; text-align: left; }}
td[style*="right"], td code {{ white-space: nowrap; }}
tr:nth-child(even) td {{ background: #fafafa; }}
code {{ background: #f3f3f3; padding: 0.1em 0.3em; border-radius: 3px; font-size: 0.92em; }}
pre {{ background: #f3f3f3; padding: 0.8em 1em; overflow-x: auto; }}
pre code {{ background: none; padding: 0; }}
blockquote {{ margin: 1em 0; padding: 0.4em 1em; border-left: 4px solid #d55e00; background: #fff6ef; }}
img {{ max-width: 100%; }}
@media print {{
  body {{ max-width: none; margin: 0; font-size: 10pt; }}
  .wide {{ overflow: visible; }}
  td, td:has(code) {{ max-width: 24rem; }}
  td[style*="right"], td code {{ white-space: normal; }}
  pre, pre code {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
  tr, img {{ break-inside: avoid; }}
  thead {{ display: table-header-group; }}
}}
</style>
</head>
<body>
{body}
</body>
</html>
"""
