"""Where paths come from, and that a lookup says every place it would try."""

from __future__ import annotations

from pathlib import Path

import pytest

from detui.engine.configuration import Configuration
from detui.engine.errors import UsageError


def write(home: Path, text: str) -> dict[str, str]:
    file = home / ".config" / "detui" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    return {"HOME": str(home)}


def test_the_order_for_the_workspace(hostile_path: Path) -> None:
    """Command line, then environment, then file, then ./logs."""
    environ = write(hostile_path, "workspace: /from/file\n")
    assert Configuration.load(environ={"HOME": "/nowhere"}).settings["workspace"].source == "default"
    assert Configuration.load(environ=environ).workspace == Path("/from/file")
    from_environment = Configuration.load(environ={**environ, "DETUI_WORKSPACE": "/from/environment"})
    assert from_environment.workspace == Path("/from/environment")
    given = Configuration.load(workspace="/given", environ={**environ, "DETUI_WORKSPACE": "/x"})
    assert (given.workspace, given.settings["workspace"].source) == (Path("/given"), "--workspace")


def test_every_value_names_its_line(tmp_path: Path) -> None:
    settings = Configuration.load(environ=write(tmp_path, "data:\n  bccd: /d/bccd\nweight_roots: [/w]\n")).settings
    assert settings["data.bccd"].source.endswith("config.yaml:2:3")
    assert settings["weight_roots"].source.endswith("config.yaml:3:1")


def test_places_go_from_specific_to_general(tmp_path: Path) -> None:
    environ = write(tmp_path, "data: {bccd: /d/special}\ndata_roots: [/d]\n")
    configuration = Configuration.load(environ={**environ, "DETUI_DATA": "/e:/f"})
    assert configuration.data_places("bccd") == [Path(p) for p in ("/d/special", "/d/bccd", "/e/bccd", "/f/bccd")]
    home = Path(environ["HOME"]) / ".local" / "share" / "detui" / "weights"
    for name in ("yolo12n.pt", "sub/yolo12n.pt"):
        assert configuration.weights_places(name) == [Path.cwd() / name, home / name]
    assert configuration.weights_folder == home
    rooted = Configuration.load(environ={**environ, "DETUI_WEIGHTS": "/w:/v"})
    assert rooted.weights_places("a.pt") == [Path.cwd() / "a.pt", Path("/w/a.pt"), Path("/v/a.pt"), home / "a.pt"]
    assert rooted.weights_folder == Path("/w")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("workspce: /x\n", 1, "workspce"),
        ("data: [a]\n", 1, "mapping"),
        ("data:\n  bccd: 3\n", 2, "path"),
        ("data_roots: {a: b}\n", 1, "list of paths"),
        ("- a\n", 1, "mapping of keys"),
        ("workspace: [\n", 2, "YAML"),
        ("hooks: [a]\n", 1, "mapping from an event"),
        ("hooks:\n  run_ended: [a]\n", 2, "no hook 'run_ended'"),
        ("hooks:\n  run_end: notify --x\n", 2, "list of words"),
        ("hooks:\n  run_end: []\n", 2, "list of words"),
        ("hooks:\n  run_end: [a]\n  seconds: soon\n", 3, "number of seconds"),
        ("hosts: [lab]\n", 1, "mapping from a name"),
        ("hosts:\n  lab: me@server\n", 2, "must be a mapping"),
        ("hosts:\n  lab:\n    shh: me@server\n", 3, "nothing called 'shh'"),
        ("hosts:\n  lab: {ssh: 3}\n", 2, "must be text"),
    ],
)
def test_a_wrong_file_names_the_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Configuration.load(environ=write(tmp_path, text))
    assert f"config.yaml:{line}:" in str(caught.value.where)
    assert words in caught.value.message


def test_an_empty_file_is_no_configuration(tmp_path: Path) -> None:
    assert Configuration.load(environ=write(tmp_path, "")).settings["workspace"].source == "default"


def test_hooks_are_commands_and_a_limit(tmp_path: Path) -> None:
    text = "hooks:\n  run_end: [notify, --x]\n  alarm: ring\n  seconds: 5\n"
    configuration = Configuration.load(environ=write(tmp_path, text))
    assert configuration.hooks == {"run_end": ["notify", "--x"], "alarm": ["ring"], "seconds": 5.0}
    assert configuration.settings["hooks.run_end"].source.endswith("config.yaml:2:3")
    assert Configuration.load(environ={"HOME": "/nowhere"}).hooks == {}
