"""What a person says about a document on the command line, checked against the experiment."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from detui.engine.errors import MissingError, RunError, UsageError
from detui.engine.record.facts import ExperimentFacts
from detui.engine.record.foreign.filling import Options
from detui.engine.record.foreign.labels import key
from detui.engine.record.foreign.values import known_metrics


def choose(
    facts: ExperimentFacts,
    *,
    arm: str | None = None,
    reference: str | None = None,
    seed: int | None = None,
    maps: Sequence[str] = (),
    typed_baseline: bool = False,
    update: bool = False,
) -> Options:
    """Check the choices. Raises UsageError for an unknown name, MissingError for an absent seed, RunError without data.

    `maps`: "label=metric" or "label=arm", each.
    """
    for option, name in (("--arm", arm), ("--reference", reference)):
        if name is not None and name not in facts.arms:
            raise UsageError(f"There is no arm {name!r}.", where=option, hint=_near(name, facts.arms))
    if seed is not None and seed not in {run.seed for run in facts.runs}:
        known = ", ".join(map(str, sorted({run.seed for run in facts.runs}))) or "none yet"
        raise MissingError(f"No run has seed {seed}.", where="--seed", hint=f"seeds of {facts.path.name}: {known}")
    if not any(run.evaluations for run in facts.runs):
        raise RunError("No run of this experiment has a finished evaluation yet.", where=facts.path.name,
                       hint=f"detui tail {facts.path.name}, or another --experiment")  # fmt: skip
    mapped = _mapping(maps, facts) if maps else {}
    return Options(arm=arm, reference=reference, seed=seed, mapped=mapped, typed_baseline=typed_baseline, update=update)


def _mapping(maps: Iterable[str], facts: ExperimentFacts) -> dict[str, str]:
    known = [*known_metrics(facts), *facts.arms]
    found = {}
    for pair in maps:
        label, equals, name = (part.strip() for part in pair.rpartition("="))
        if not equals or not label or not name:
            raise UsageError(f"{pair!r} is not LABEL=METRIC.", where="--map", hint='--map "Small mAP=val/AP_small"')
        if name not in known:
            raise UsageError(f"There is no metric or arm {name!r}.", where="--map", hint=_near(name, known))
        found[key(label)] = name
    return found


def _near(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, 3, 0.4)
    return f"did you mean {' or '.join(close)}?" if close else f"one of {', '.join(known[:12])}"
