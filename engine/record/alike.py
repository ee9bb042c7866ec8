"""Whether arms are alike in what was really built and used, too: the measured half of the fairness audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from detui.engine.analysis.fairness import Finding, audit, covers, flatten, with_consequences
from detui.engine.measured import BUILT
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.text import duration

PACKAGE = "package."
"""Before the name of a package, as a fact."""
PACKAGES = "packages"
"""The field of the note on packages that differ because the environments do."""
_TIME = 1.1
"""Ratio of wall times from which on they are worth a note."""


def facts_of(facts: ExperimentFacts, arm: str, runs: Sequence[RunFacts]) -> dict[str, Any]:
    """All that two arms are compared in: `train.lr0`, `built.parameters`, `data.fingerprint`, `package.torch` …

    `runs`: those of the arm that count. What is not known yet is left out.
    """
    config = next((one.get("config") or {} for one in facts.info["arms"] if one["name"] == arm), {})
    begins = [run.begin for run in runs if run.begin]
    found: dict[str, Any] = dict(flatten(config))
    found |= {f"built.{name}": value for name in BUILT if (value := _each(begins, "model", name)) is not None}
    packages = {name for begin in begins for name in begin.get("packages") or {}}
    found |= {f"package.{name}": _each(begins, "packages", name) for name in sorted(packages)}
    rule, data = facts.info["checkpoint_rule"], facts.data_of(arm)
    found |= {
        "data.fingerprint": data.get("fingerprint"),
        "protocol.seeds": [run.seed for run in runs],
        "protocol.profile": facts.info.get("profile"),
        "protocol.checkpoint": f"{rule.get('rule')} {rule.get('metric', '')}".strip(),
        # Two programs compute nuScenes' metric: what one says is not subtracted from what the other does unnoticed.
        "protocol.evaluator": _joined(run.chosen.get("evaluator") for run in runs if run.chosen and facts.frames),
        "device.model": _joined(attempt.device_model for run in runs for attempt in run.attempts),
        "code.tree": _each(begins, "code", "tree"),
    }
    predictions = {name for begin in begins for name in begin.get("predictions") or {}}
    found |= {f"predictions.{name}": _each(begins, "predictions", name) for name in sorted(predictions)}
    return {name: value for name, value in found.items() if value not in (None, "")}


def _each(begins: Sequence[Mapping[str, Any]], part: str, name: str) -> Any:
    """What the workers reported: one value, or every one that differs."""
    values = [(begin.get(part) or {}).get(name) for begin in begins]
    known = [value for value in values if value is not None]
    return known[0] if len({repr(value) for value in known}) == 1 else _joined(known) or None


def _joined(values: Any) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def compare_facts(
    sides: Mapping[str, Mapping[str, Any]],
    varies: Sequence[str],
    seconds: Mapping[str, float] | None = None,
    environments: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Audit sides (name → `facts_of`) field by field; `seconds`: the training time of each, where it is known.

    A field that one side does not know yet is no difference. `environments`: the name of each side's. Where `varies`
    declares `environment`, packages that differ between environments, and in none of them, are one note.
    """
    names = {name for side in sides.values() for name in side}
    known = {name for name in names if not _measured(name) or all(name in side for side in sides.values())}
    told = {side: {name: value for name, value in values.items() if name in known} for side, values in sides.items()}
    found = [one for one in audit(told, with_consequences(varies)) if one.level != "note"]
    follows = _following(found, environments or {}) if any(covers(name, "environment") for name in varies) else []
    kept = [one for one in found if one not in follows]
    return [*kept, *_packages(follows, environments or {}), *_times(seconds or {})]


def _following(found: Sequence[Finding], environments: Mapping[str, str]) -> list[Finding]:
    """The packages that differ, and that all sides of one environment have in one version."""
    packages = [one for one in found if one.level == "confounder" and one.field.startswith(PACKAGE)]
    return [one for one in packages if _by_environment(one, environments) is not None]


def _by_environment(finding: Finding, environments: Mapping[str, str]) -> dict[str, str] | None:
    """Environment → version of a package; None where one environment holds several, or a side's is not known."""
    versions: dict[str, str] = {}
    for side, version in finding.values.items():
        name = environments.get(side)
        if name is None or versions.setdefault(name, str(version)) != str(version):
            return None
    return versions


def _packages(follows: Sequence[Finding], environments: Mapping[str, str]) -> list[Finding]:
    """One note of all packages that differ because the environments do."""
    if not follows:
        return []
    values = {one.field.removeprefix(PACKAGE): _by_environment(one, environments) or {} for one in follows}
    text = f"Packages differ, as the environments do: {packages_text(values)}."
    return [Finding(level="note", field=PACKAGES, values=values, text=text)]


def packages_text(values: Mapping[str, Mapping[str, str]]) -> str:
    """ "numpy 2.4.6 (detui) / 1.26.4 (jittor); scipy …", of package → environment → version."""
    told = (f"{name} {' / '.join(f'{version} ({of})' for of, version in versions.items())}"
            for name, versions in values.items())  # fmt: skip
    return "; ".join(told)


def _measured(name: str) -> bool:
    return name.split(".", 1)[0] in ("built", "package", "device", "code", "predictions")


def _times(seconds: Mapping[str, float]) -> list[Finding]:
    if len(seconds) < 2 or max(seconds.values()) < _TIME * max(min(seconds.values()), 1e-9):
        return []
    shown = ", ".join(f"{name}: {duration(value)}" for name, value in seconds.items())
    text = f"The wall time of training differs ({shown})."
    return [Finding(level="note", field="cost.training_seconds", values=dict(seconds), text=text)]
