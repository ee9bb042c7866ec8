"""Places for environments, and packages made here: nothing is fetched from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from detui.engine.configuration import Configuration

DETUI = Path(sys.executable).with_name("detui")
BACKEND = '''\
"""Builds a wheel when somebody opens the gate."""
import os, pathlib, time, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    gate = pathlib.Path(os.environ["GATE"])
    with (gate / "started").open("a") as file:
        file.write("x")
    while not (gate / "open").exists():
        time.sleep(0.02)
    name = "gated-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        info = "gated-1.0.dist-info/"
        wheel.writestr("gated.py", "")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: gated\\nVersion: 1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
'''


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@dataclass
class Site:
    """A person's configuration, pin files, packages and environments in one folder."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "environments"

    @property
    def configuration(self) -> Configuration:
        return Configuration.load(environ={"DETUI_CONFIG": str(self.folder / "config" / "config.yaml")})

    def configure(self, text: str) -> None:
        (self.folder / "config" / "config.yaml").write_text(text)

    def pins(self, name: str = "tiny", *packages: str, more: str = "") -> Path:
        """Write a pin file; `more`: further keys."""
        listed = ", ".join(packages or ("tiny==1.0",))
        path = self.folder / "config" / "environments" / f"{name}.yaml"
        path.write_text(
            f'schema: 1\ntitle: For {name}\npython: {{at_least: "3.10", below: "3.99"}}\n'
            f"steps: [{{packages: [{listed}]}}]\n{more}"
        )
        return path

    def wheel(self, name: str = "tiny", version: str = "1.0", padding: int = 0) -> None:
        """Make a wheel of one module; `padding`: bytes that it takes on disk."""
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(self.folder / "packages" / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
            if padding:
                wheel.writestr(f"{name}.bin", os.urandom(padding))
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")

    def gated(self) -> None:
        """Make a package that says that it is being built, and waits: `started` and `open` in the folder `gate`."""
        import tarfile

        source = self.folder / "gated-1.0"
        source.mkdir()
        (source / "backend.py").write_text(BACKEND)
        (source / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            '[project]\nname = "gated"\nversion = "1.0"\n'
        )
        (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: gated\nVersion: 1.0\n")
        (self.folder / "gate").mkdir()
        with tarfile.open(self.folder / "packages" / "gated-1.0.tar.gz", "w:gz") as archive:
            archive.add(source, "gated-1.0")
        self.pins("gated", "gated==1.0")

    @property
    def started(self) -> int:
        """How often the gated package began to be built."""
        path = self.folder / "gate" / "started"
        return len(path.read_text()) if path.exists() else 0

    def open_gate(self) -> None:
        (self.folder / "gate" / "open").touch()

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "XDG_"))}
        packages = str(self.folder / "packages")
        return {
            **kept,
            "HOME": str(self.folder),
            "DETUI_CONFIG": str(self.folder / "config" / "config.yaml"),
            "DETUI_ENVIRONMENTS": str(self.root),
            "GATE": str(self.folder / "gate"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"file://{packages.replace(' ', '%20')}",
            "PIP_NO_CACHE_DIR": "1",
            "UV_OFFLINE": "1",
            "UV_FIND_LINKS": packages,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [str(DETUI), "env", *arguments]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, env=self.environ, cwd=self.folder
        )

    def detui(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def made(self) -> list[str]:
        """The names of what lies among the environments, logs and locks left out."""
        return sorted(path.name for path in self.root.iterdir() if path.is_dir())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An empty site; this process looks for environments there, too."""
    found = Site(tmp_path / "with space")
    for name in ("config/environments", "packages"):
        (found.folder / name).mkdir(parents=True)
    monkeypatch.setenv("DETUI_ENVIRONMENTS", str(found.root))
    return found
