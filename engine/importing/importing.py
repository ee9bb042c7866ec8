"""Makes an experiment out of what other tools left: its plan as far as it is known, its runs, its record."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.analysis.fairness import audit, flatten
from detui.engine.errors import UsageError
from detui.engine.experiment import FACTS, Experiment, new_directory, now
from detui.engine.importing.finding import left
from detui.engine.importing.left import Left
from detui.engine.importing.replay import Replay
from detui.engine.record.words import LANGUAGES, Words
from detui.engine.run.directory import IMPORT, RunDir
from detui.engine.run.files import sha256_of, write_json
from detui.engine.run.spec import DeviceRequest, RunSpec, StageSpec
from detui.engine.secrets import redacted

PROFILE = "imported"
"""Stands where the profile of a run does, in lists and in the record."""
_OF_A_RUN = ("seed", "name", "save_dir", "project", "exist_ok", "device", "work_dir", "log_file", "resume",
             "resume_from", "gpu_ids")  # fmt: skip
"""Settings that differ between repetitions of one thing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """One training that was read: what becomes a run."""

    arm: str
    index: int
    """Its place among the trainings of the arm, in whose name it stands where the seed is not known."""
    left: Left

    @property
    def seed(self) -> int:
        """The seed, where it is known; else the index."""
        return self.index if self.left.seed is None else self.left.seed

    @property
    def run(self) -> str:
        """The name of its run."""
        return f"{self.arm}-s{self.seed}"


def import_arms(
    workspace: Path,
    arms: Sequence[tuple[str, Sequence[Path]]],
    *,
    recipe: str = "imported/runs",
    title: str | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    note: str | None = None,
    best: str | None = None,
    stated: Mapping[str, Mapping[str, Any]] | None = None,
    command: str = "",
) -> Experiment:
    """Make an experiment of trainings. The first arm is the reference; an arm may come several times, with other seeds.

    `arms`: name and paths (the parts of one log). `best`: the metric by which a run's epoch is chosen, the last one
    otherwise. `stated`: arm → settings that the person says it had. Raises MissingError, UsageError, RunError.
    """
    runs = _read(arms)
    settings = _settings_of(runs, stated or {})
    checked: dict[str, dict[str, Any]] = {}
    for one in runs:
        checked.setdefault(one.arm, settings[one.run])  # an arm's are those of its first training
    rule = {"rule": "best", "metric": best} if best else {"rule": "last"}
    experiment = Experiment(new_directory(workspace, recipe))
    titles = {"en": title, "zh": title} if title else _title(runs)
    about = {"name": name, "tags": list(tags), "note": note, "command": command, "title": titles}
    facts = _facts(experiment, runs, checked, recipe, rule)
    facts["varies"] = sorted({field for of in (stated or {}).values() for field in flatten(of)})
    facts["fairness"] = [
        *_fairness(checked, facts["varies"], facts["imported"]["configured"]), *_within_arms(runs, settings)
    ]  # fmt: skip
    write_json(experiment.path / FACTS, redacted({"schema": 1, **facts, **about}))
    for one in runs:
        _write_run(experiment, one, settings[one.run], recipe, rule)
    return experiment


def _read(arms: Sequence[tuple[str, Sequence[Path]]]) -> list[Imported]:
    runs: list[Imported] = []
    for arm, paths in arms:
        index = sum(one.arm == arm for one in runs)
        runs.append(Imported(arm=arm, index=index, left=left(paths)))
        if runs[-1].run in [one.run for one in runs[:-1]]:
            text = f"Two trainings of {arm} have the seed {runs[-1].seed}."
            raise UsageError(text, where=str(paths[0]), hint="give one of them an arm of its own")
    return runs


def _settings_of(runs: Sequence[Imported], stated: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Run → the settings of its training: what was read, with what was stated of its arm laid over it.

    Nothing will be run with them, so that secrets among them are kept nowhere. Raises UsageError where something is
    stated of an arm that is not there.
    """
    known = list(dict.fromkeys(one.arm for one in runs))
    if unknown := [arm for arm in stated if arm not in known]:
        raise UsageError(f"There is no arm {unknown[0]!r}.", where="--set", hint=f"one of {', '.join(known)}")
    return {one.run: redacted(_laid(one.left.config, stated.get(one.arm, {}))) for one in runs}


def _laid(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping over another, section by section; null is a value, as the tools write it."""
    sections = {
        name: _laid(under[name], value)
        for name, value in over.items()
        if isinstance(value, Mapping) and isinstance(under.get(name), Mapping)
    }
    return {**under, **over, **sections}


def _title(runs: Sequence[Imported]) -> dict[str, str]:
    forms = dict.fromkeys(one.left.form for one in runs)
    english, chinese = (", ".join(map(Words(language), forms)) for language in LANGUAGES)
    return {"en": f"Imported: {english}", "zh": f"导入：{chinese}"}


def _facts(
    experiment: Experiment,
    runs: Sequence[Imported],
    configs: Mapping[str, Mapping[str, Any]],
    recipe: str,
    rule: Mapping[str, str],
) -> dict[str, Any]:
    from importlib.metadata import version

    arms = list(configs)
    flats = {arm: flatten(config) for arm, config in configs.items()}
    configured = [arm for arm in arms if any(one.left.config for one in runs if one.arm == arm)]
    fields = sorted({field for flat in flats.values() for field in flat})
    values = {field: {arm: flat.get(field) for arm, flat in flats.items()} for field in fields}
    differs = {field: of for field, of in values.items() if len({repr(value) for value in of.values()}) > 1}
    epochs = max((one.left.epochs or 0 for one in runs), default=0)
    return {
        "id": experiment.id,
        "recipe": recipe,
        "family": recipe.split("/")[0],
        "question": {"en": "What the trainings of another tool gave.", "zh": "其他工具的训练给出了什么结果。"},
        "profile": PROFILE,
        "backend": ", ".join(dict.fromkeys(one.left.framework for one in runs)),
        "recipe_file": None,
        "recipe_text": "",
        "overrides": [],
        "branch": None,
        "varies": [],
        "chosen_data": [],
        "arms": [
            {"name": arm, "of": arm, "data_set": None, "title": {"en": arm, "zh": arm}, "config": dict(configs[arm]),
             "sources": {}, "epochs": epochs}
            for arm in arms
        ],
        "differs": differs,
        "fairness": [],
        "warnings": [],
        "seeds": sorted({one.left.seed for one in runs if one.left.seed is not None}),
        "stages": [],
        "epochs": epochs or None,
        "milestones": [],
        "checkpoint_rule": dict(rule),
        "keep_checkpoints": ["all"],
        "goals": [],
        "decisions": [],
        "claims": [],
        "measure_speed": False,
        "record": {"template": "imported", "languages": ["en", "zh"]},
        "runs": [one.run for one in runs],
        "estimates": {},
        "created": now(),
        "data": None,
        "data_sets": {},
        "host": {},
        "device": {},
        "code": {},
        "imported": {"by": f"detui {version('detui')}", "configured": configured},
    }  # fmt: skip


def _fairness(
    configs: Mapping[str, Mapping[str, Any]], varies: Sequence[str], configured: Sequence[str]
) -> list[dict[str, Any]]:
    """The audit of the arms; where the settings of one were not read, of what was stated alone."""
    found = audit(configs, varies) if len(configs) > 1 else []
    told = found if len(configured) == len(configs) else [one for one in found if one.level == "varies"]
    return [{"level": one.level, "field": one.field, "text": one.text} for one in told]


def _within_arms(runs: Sequence[Imported], settings: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What differs between trainings that are called one arm: averaged as they are, they repeat no one thing."""
    found = []
    for arm in dict.fromkeys(one.arm for one in runs):
        read = {one.run: settings[one.run] for one in runs if one.arm == arm and one.left.config}
        differing = audit(read, _OF_A_RUN) if len(read) > 1 else []
        found += [{"level": "confounder", "within_arm": arm, "field": one.field, "text": f"Within {arm}, {one.text}"}
                  for one in differing if one.level == "confounder"]  # fmt: skip
    return found


def _write_run(
    experiment: Experiment, one: Imported, config: Mapping[str, Any], recipe: str, rule: Mapping[str, str]
) -> None:
    given = one.left
    spec = RunSpec(
        experiment=experiment.id, recipe=recipe, arm=one.arm, seed=one.seed, profile=PROFILE, backend=given.framework,
        trainer="detui.engine.importing.trainer:ImportedTrainer", python=sys.executable,
        device=DeviceRequest(kind="unknown", count=0, candidates=()), threads=1, config=dict(config),
        stages=(StageSpec(name="main", epochs=given.epochs or 0, config=dict(config)),), data=None, milestones=(),
        checkpoint_rule=dict(rule),
    )  # fmt: skip
    run = RunDir.create(experiment.path / "runs" / one.run, spec)
    write_json(run.path / IMPORT, _origin(one))
    for number, start in enumerate(given.starts, start=1):
        attempt = run.attempt(number)
        attempt.path.mkdir()
        resume = None if start.resume is None else {"attempt": max(1, number - 1), "stage": 0, **start.resume}
        write_json(attempt.path / "attempt.json", {"resume": resume})
        report = Replay(attempt, given.framework, given.headline, resume)
        report.begin(total_epochs=given.epochs, asked=dict(config), imported=str(start.file.absolute()))
        start.play(report)
        report.end("finished" if given.finished else "unknown")
    state = "finished" if given.finished else "lost"
    run.append_event(state, attempt=len(given.starts), reason=f"imported ({given.form}): {given.ending.text}")


def _origin(one: Imported) -> dict[str, Any]:
    """import.json: where the run comes from, with the sums of what was read."""
    given = one.left
    files = [
        {"path": str(path.absolute()), "bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in given.files
    ]
    weights = [{"path": str(path.absolute()), "bytes": path.stat().st_size} for path in given.weights]
    clock = None if given.clock is None else {"first": given.clock[0], "last": given.clock[1], "zone": None}
    ending = {"key": given.ending.key, "values": list(given.ending.values), "text": given.ending.text}
    return {
        "at": now(), "form": given.form, "framework": given.framework, "ending": ending, "seed": given.seed,
        "epochs": given.epochs, "clock": clock, "files": files, "weights": weights,
    }  # fmt: skip
