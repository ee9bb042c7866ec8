"""What a framework that compiles says of its progress."""

from __future__ import annotations

from pathlib import Path

import pytest

from detui.engine.run.compiling import Compiling, compiling, progress, tidy

CORE = "Compiling jittor_core(149/152) used: 79.123s eta: 1.593s"
OPERATORS = "Compiling Operators(3/29) used: 18.6s eta:  1.2e+03s "


def test_lines_of_jittor_are_read_and_others_are_not() -> None:
    assert progress(CORE) == Compiling("jittor_core", 149, 152, 1.593)
    assert progress(OPERATORS) == Compiling("Operators", 3, 29, 1200.0)
    assert progress("Compiling Operators(0/2) used: 2.1s eta:  infs") == Compiling("Operators", 0, 2, None)
    assert progress("Compiling the shaders") is None
    assert tidy(CORE) == "Compiling jittor_core: 149 of 152, about 2 s left" and tidy("other") == "other"


@pytest.mark.parametrize(
    ("text", "done"),
    [(f"x\n{CORE}\r{OPERATORS}\r", 3), (f"{CORE}\rready\n", None), ("", None), ("y" * 9000 + f"\n{CORE}\r", 149)],
)
def test_only_the_last_thing_that_was_said_counts(tmp_path: Path, text: str, done: int | None) -> None:
    log = tmp_path / "console.log"
    log.write_text(text)
    found = compiling(log)
    assert (found.done if found else None) == done
    assert compiling(tmp_path / "absent") is None
