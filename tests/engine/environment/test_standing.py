"""How an environment stands, told from files alone; what runs in it; whether it is as pinned."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from detui.engine.environment import interpreter
from detui.engine.environment.checking import check_interpreter
from detui.engine.environment.installers import choose_installer, environment_of_child
from detui.engine.environment.interpreters import choose_python
from detui.engine.environment.locks import locked
from detui.engine.environment.making import create
from detui.engine.environment.pin_file import Pins, find_pins
from detui.engine.environment.standing import NOTE, Standing, environments_root, standing, standings
from detui.engine.errors import MissingError, RecipeError, RunError, UsageError
from detui.engine.run.files import write_json

from .conftest import Site


def pins_of(site: Site, name: str = "tiny") -> Pins:
    found = find_pins(name, site.configuration)
    assert found is not None
    return found


def lay(site: Site, digits: str | None = None, python: str = sys.executable) -> Path:
    """A whole environment, as far as its files say: links and a note."""
    folder = site.root / f"tiny-{digits or pins_of(site).hash}"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(python)
    write_json(folder / NOTE, {"schema": 1, "python": "3.11.7", "bytes": 12})
    return folder


def stands(site: Site) -> Standing:
    return standing("tiny", site.configuration)


def test_each_state_has_its_next_step(site: Site) -> None:
    site.pins()
    assert (stands(site).state, stands(site).command) == ("absent", "detui env create tiny")
    part = site.root / f"tiny-{pins_of(site).hash}"
    part.mkdir(parents=True)
    assert (stands(site).state, stands(site).command) == ("incomplete", "detui env create tiny")
    with locked(site.root, "tiny", None):
        assert stands(site).state == "being made"
        assert standing("nuscenes", site.configuration).state == "absent", "a lock is of one name"
    part.rmdir()
    lay(site, "0" * 12)
    (site.root / f"tiny-2-{'0' * 12}").mkdir()  # another's
    assert stands(site).state == "outdated" and len(stands(site).older) == 1
    folder = lay(site)
    assert stands(site).usable and stands(site).python == folder / "bin" / "python" and stands(site).command is None
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to("/gone")
    assert (stands(site).state, stands(site).command) == ("broken", "detui env create tiny --recreate")


def test_a_worker_gets_the_interpreter_and_the_variables(site: Site, tmp_path: Path) -> None:
    site.pins(more='environ: {HOME_OF_TINY: "{environment}/home"}\n')
    with pytest.raises(MissingError, match="not made yet") as caught:
        interpreter("tiny", "command", site.configuration, tmp_path)
    assert caught.value.hint == "detui env create tiny"
    folder = lay(site)
    found = interpreter("tiny", "command", site.configuration, tmp_path)
    assert found.python == f"{folder}/bin/python" and found.environ == {"HOME_OF_TINY": f"{folder}/home"}
    assert found.asked["environ"] == found.environ and found.pythonpath
    pins = pins_of(site)
    assert found.facts == {"name": "tiny", "python": found.python, "pins": pins.hash, "packages": {"tiny": "1.0"}}


def test_the_configuration_wins_and_keeps_detui_from_making_it(site: Site) -> None:
    site.pins()
    lay(site)
    site.configure(f"environments:\n  tiny: {sys.executable}\n  other: /gone/python\n")
    states = {found.name: found.state for found in standings(site.configuration)}
    assert (states["tiny"], states["other"]) == ("configured", "broken") and states["nuscenes"] == "absent"
    assert stands(site).python == Path(sys.executable) and str(stands(site).source).endswith("config.yaml:2:3")
    for name in ("tiny", "other"):
        with pytest.raises(UsageError, match="configuration says where"):
            create(name, site.configuration)


def test_a_wrong_pin_file_is_named(site: Site) -> None:
    path = site.pins()
    path.write_text(path.read_text().replace("title", "titel"))
    with pytest.raises(RecipeError, match="titel"):
        stands(site)


def test_places(tmp_path: Path) -> None:
    assert environments_root({"HOME": "/h"}) == Path("/h/.local/share/detui/environments")
    assert environments_root({"HOME": "/h", "XDG_DATA_HOME": "/d"}) == Path("/d/detui/environments")
    assert environments_root({"HOME": "/h", "DETUI_ENVIRONMENTS": "/e"}) == Path("/e")


def test_what_is_installed_is_compared_from_inside(site: Site) -> None:
    click = version("click")
    site.pins("tiny", f"click=={click}", "rich==0.1", "no-such-package==1.0",
              more="check: {imports: [click, no_such_module]}\n")  # fmt: skip
    found = check_interpreter(Path(sys.executable), pins_of(site))
    assert found.packages["click"] == click
    told = {one.what: (one.asked, one.found) for one in found.differences}
    assert told.pop("rich") == ("0.1", version("rich"))
    assert told.pop("no-such-package") == ("1.0", "absent")
    assert "No module named" in told.pop("import no_such_module")[1]
    assert told == {}


def test_an_import_that_kills_is_a_finding(site: Site, tmp_path: Path) -> None:
    site.pins(more="check: {imports: [antigravity.gone]}\n")
    (tmp_path / "python").write_text("#!/bin/sh\necho broken link >&2\nexit 3\n")
    (tmp_path / "python").chmod(0o755)
    (one,) = check_interpreter(tmp_path / "python", pins_of(site)).differences
    assert (one.what, one.found) == ("interpreter", "exit code 3: broken link")
    (gone,) = check_interpreter(tmp_path / "gone", pins_of(site)).differences
    assert "No such file" in gone.found


def test_a_python_that_does_not_fit_is_refused(site: Site, tmp_path: Path) -> None:
    path = site.pins()
    assert choose_python(pins_of(site), None)[0] == Path(sys.executable)
    with pytest.raises(MissingError, match="no Python at /gone"):
        choose_python(pins_of(site), "/gone/python")
    path.write_text(path.read_text().replace("3.10", "3.98"))
    with pytest.raises(UsageError, match="needs at least 3.98"):
        choose_python(pins_of(site), sys.executable)


def test_the_installer_is_chosen(tmp_path: Path) -> None:
    assert choose_installer(None, {"PATH": str(tmp_path)}).name == "pip"
    with pytest.raises(MissingError, match="no uv"):
        choose_installer("uv", {"PATH": str(tmp_path)})
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    assert choose_installer(None, {"PATH": str(tmp_path)}).program == str(tmp_path / "uv")
    assert choose_installer("pip", {"PATH": str(tmp_path)}).program is None


def test_a_place_that_cannot_be_made_has_another_setting(site: Site) -> None:
    site.root.touch()
    site.pins()
    with pytest.raises(RunError) as caught:
        create("tiny", site.configuration)
    assert "DETUI_ENVIRONMENTS" in str(caught.value)


def test_nothing_of_another_environment_reaches_the_installer() -> None:
    inherited = {"PYTHONPATH": "/x", "VIRTUAL_ENV": "/y", "PIP_INDEX_URL": "kept", "HTTPS_PROXY": "kept"}
    found = environment_of_child(inherited, {"WITH_OPS": "1"})
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & {*found}
    assert (found["PIP_INDEX_URL"], found["HTTPS_PROXY"], found["WITH_OPS"]) == ("kept", "kept", "1")


def test_the_configuration_names_another_environment(site: Site, tmp_path: Path) -> None:
    site.pins()
    site.pins("other", "tiny==2.0")
    site.configure("environments: {other: tiny}\n")

    def stands() -> Standing:
        return standing("other", site.configuration)

    assert (stands().state, stands().command) == ("absent", "detui env create tiny")
    with pytest.raises(MissingError) as caught:
        interpreter("other", "command", site.configuration, tmp_path)
    assert caught.value.hint == "detui env create tiny"
    with pytest.raises(UsageError, match="takes the environment 'tiny' for 'other'"):
        create("other", site.configuration)
    folder = lay(site)
    assert (stands().state, stands().through) == ("configured", "tiny") and stands().usable
    found = interpreter("other", "command", site.configuration, tmp_path)
    facts = found.facts or {}
    assert found.python == f"{folder}/bin/python" and facts["packages"] == {"tiny": "1.0"}
    assert (facts["name"], facts["pins"]) == ("tiny", pins_of(site).hash)
    listed = {one.name: one.through for one in standings(site.configuration)}
    assert (listed["other"], listed["tiny"]) == ("tiny", None)
    site.configure("environments: {other: nowhere}\n")
    assert (stands().state, stands().through) == ("broken", None), "a name without pins is a path"
