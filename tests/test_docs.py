"""What the documents say is true: their recipes resolve, their commands exist, their links lead somewhere."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from detui.engine.backends.command.plan import CommandConfig
from detui.engine.backends.ultralytics.plan import UltralyticsConfig
from detui.engine.data.definition import CocoDefinition, VocDefinition
from detui.engine.data.depth_layout import DepthLayout
from detui.engine.data.frame_layouts import FusionScenesDefinition, NuscenesDefinition
from detui.engine.data.fusion_options import FusionOptions
from detui.engine.data.problems import KINDS
from detui.engine.data.published import Published
from detui.engine.data.scene_options import SceneOptions
from detui.engine.data.selection import Select
from detui.engine.environment.pin_file import Checks, PinFile, Step, read_pins
from detui.engine.recipe.load import read_recipe
from detui.engine.recipe.resolve import resolve
from detui.engine.recipe.schema import RecipeFile
from detui.tui.filters import FIELDS
from detui.tui.keys import all_keys, display_of
from detui.tui.main import application
from detui.tui.settings import CHOICES
from detui.tui.widgets.title_bar import PLACES

DETUI = str(Path(sys.executable).with_name("detui"))
FRAME_MODELS = (NuscenesDefinition, FusionScenesDefinition, FusionOptions)
READMES = ["README.md", "README.zh.md"]
DOCUMENTS = [
    *READMES,
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/cluster.md",
    "docs/data.md",
    "docs/environments.md",
    "docs/fusion.md",
    "docs/parity.md",
    "docs/recipes.md",
    "docs/run-control.md",
    "docs/run-directory.md",
    "docs/run-your-own.md",
    "docs/scratch-vs-pretrained.md",
    "docs/terminal.md",
    "docs/ultralytics.md",
    "docs/weights.md",
]
COMMANDS_IN = [
    "docs/cluster.md",
    "docs/parity.md",
    "docs/recipes.md",
    "docs/data.md",
    "docs/environments.md",
    "docs/run-your-own.md",
    "docs/scratch-vs-pretrained.md",
    "docs/weights.md",
]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("name", READMES)
def test_the_ten_line_recipe_resolves_in_both_profiles(repository: Path, tmp_path: Path, name: str) -> None:
    (text,) = [block for block in blocks(repository / name, "yaml") if block.startswith("schema: 1")]
    assert len(text.splitlines()) <= 10
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    recipe = read_recipe("own/mine", path)
    assert [arm.epochs for arm in resolve(recipe, profile="quick").arms] == [4, 4]
    assert [arm.epochs for arm in resolve(recipe).arms] == [100, 100]


@pytest.mark.parametrize("name", READMES)
def test_the_first_lines_are_the_two_commands(repository: Path, name: str) -> None:
    first = blocks(repository / name, "sh")[0]
    assert [line.split()[:2] for line in first.splitlines()] == [["make", "demo"], ["make", "test"]]
    assert "make test" in (repository / ".ci" / "run").read_text()


@pytest.mark.parametrize("name", [*READMES, *COMMANDS_IN])
def test_every_command_line_is_understood(repository: Path, name: str) -> None:
    """Each `detui …` line names a command and options that exist (nothing is run)."""
    lines = [line for block in blocks(repository / name, "sh") for line in block.splitlines()]
    every = [shlex.split(line, comments=True) for line in lines if "detui" in line]
    # The command may stand behind variables, or another program's words.
    starts = [next((place for place, word in enumerate(words) if Path(word).name == "detui"), None) for words in every]
    commands = [words[place + 1 :] for words, place in zip(every, starts, strict=True) if place is not None]
    assert commands
    for words in commands:
        words = words[2:] if words[:1] == ["--host"] else words
        words = words[: words.index(">")] if ">" in words else words
        if not words or words == ["--read-only"]:
            continue
        command = application.get_command(None, words[0])  # type: ignore[arg-type]
        assert command is not None, words
        options = {option for parameter in command.params for option in parameter.opts}
        for subcommand in (getattr(command, "commands", {}) or {}).values():
            options |= {option for parameter in subcommand.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words


@pytest.mark.parametrize("name", READMES)
def test_the_list_of_commands_is_complete(repository: Path, name: str) -> None:
    text = (repository / name).read_text(encoding="utf-8")
    listed = text.split("## Commands" if name == "README.md" else "## 命令")[1].split("##")[0]
    assert {name for name in application.list_commands(None) if f"`{name}`" not in listed} == set()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(repository: Path, name: str) -> None:
    document = repository / name
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_every_recipe_key_is_documented(repository: Path) -> None:
    text = (repository / "docs" / "recipes.md").read_text()
    keys = {field.alias or name for name, field in RecipeFile.model_fields.items()}
    assert {key for key in keys if f"`{key}`" not in text} == set()


def test_the_table_of_faults_is_that_of_the_tests(repository: Path) -> None:
    """`make faults` writes it from the outcomes; a row without a test, or a test without its row, is found here."""
    text = (repository / "docs" / "run-control.md").read_text(encoding="utf-8")
    table = text.split("<!-- faults -->")[1].split("<!-- /faults -->")[0]
    rows = {tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.split("\n")[3:] if line}
    marked = set()
    for path in (repository / "tests" / "faults").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                marked.add(tuple(ast.literal_eval(argument) for argument in node.args))
    assert rows == marked


def test_every_dependency_has_its_reason(repository: Path) -> None:
    named = requires("detui") or []
    assert named
    table = (repository / "CONTRIBUTING.md").read_text()
    for requirement in named:
        package = re.split(r"[<>=; ]", requirement)[0]
        assert re.search(rf"\b{re.escape(package)}\b.*\|", table), package


def test_every_kind_of_problem_is_documented_with_what_can_be_done(repository: Path) -> None:
    text = (repository / "docs/data.md").read_text(encoding="utf-8")
    for name, kind in KINDS.items():
        others = ", ".join(action for action in kind.actions if action != kind.default)
        assert f"| `{name}` | {kind.text} | {kind.default} | {others} |\n" in text


def test_every_key_of_a_definition_is_documented(repository: Path) -> None:
    text = (repository / "docs/data.md").read_text(encoding="utf-8")
    keys = {
        key
        for model in (VocDefinition, CocoDefinition, Select, DepthLayout, Published, SceneOptions, *FRAME_MODELS)
        for key in model.model_fields
    }
    assert {key for key in keys - {"definition_schema"} if f"`{key}`" not in text} - {"images", "annotations"} == set()


def test_every_key_of_a_pin_file_is_documented(repository: Path, tmp_path: Path) -> None:
    document = repository / "docs/environments.md"
    text = document.read_text(encoding="utf-8")
    keys = {key for model in (PinFile, Step, Checks) for key in model.model_fields} - {"schema_"}
    assert {key for key in keys if f"`{key}`" not in text and f"`steps.{key}`" not in text} == set()
    (example,) = blocks(document, "yaml")
    (tmp_path / "ours.yaml").write_text(example)
    assert len(read_pins(tmp_path / "ours.yaml").packages) == 4


def test_the_schema_for_editors_is_printed() -> None:
    done = subprocess.run([DETUI, "show", "--schema"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and '"ultralytics_sections"' in done.stdout
    assert all(f'"{name}"' in done.stdout for name in CommandConfig.model_fields)


def test_the_defaults_that_differ_are_those_of_the_schema(repository: Path) -> None:
    text = (repository / "docs" / "ultralytics.md").read_text()
    train = UltralyticsConfig.model_validate({"model": {"name": "yolo12n"}}).train
    assert (train.optimizer, train.warmup_bias_lr, train.patience, train.amp, train.workers) == ("SGD", 0, 0, False, 4)
    for field in ("optimizer", "warmup_bias_lr", "patience", "amp", "workers"):
        assert f"`train.{field}`" in text


def test_the_terminal_guide_names_every_field_setting_and_place(repository: Path) -> None:
    text = (repository / "docs/terminal.md").read_text(encoding="utf-8")
    assert [field for field in FIELDS if f"`{field}`" not in text] == []
    rows = {row.split("|")[1].strip(): row for row in text.splitlines() if row.startswith("| ")}
    for name, choices in CHOICES.items():
        said = [value for value in choices if isinstance(value, str)]
        assert all(value in rows[name] for value in said), name
    assert [rows[f"`{number}`"].split("|")[2].strip() for number in range(1, 6)] == list(PLACES)


def test_the_terminal_guide_names_keys_that_do_that(repository: Path) -> None:
    """Each key that the guide writes in `…` is one of the table's."""
    text = (repository / "docs/terminal.md").read_text(encoding="utf-8")
    known = {shown for key in all_keys().values() for shown in display_of(key.keys).split()}
    named = {
        word for word in re.findall(r"`([^`\n]{1,5})`", text) if len(word) == 1 or word in ("tab", "space", "enter")
    }
    assert named - known == set()
