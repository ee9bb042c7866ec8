"""What a plan needs, in words: devices, memory, time, models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from detui.engine.secrets import redacted
from detui.tui.language import tr

if TYPE_CHECKING:
    from detui.engine.analysis.fairness import Finding
    from detui.engine.measured import Estimate
    from detui.engine.planning import Plan
    from detui.engine.slurm_options import SlurmOptions


def counted(count: int, noun: str) -> str:
    """Return "1 run", "2 runs"; the nouns are run, arm, seed, thread and epoch."""
    if noun == "run":
        return tr("1 run") if count == 1 else tr("{count} runs", count=count)
    if noun == "arm":
        return tr("1 arm") if count == 1 else tr("{count} arms", count=count)
    if noun == "seed":
        return tr("1 seed") if count == 1 else tr("{count} seeds", count=count)
    if noun == "thread":
        return tr("1 thread") if count == 1 else tr("{count} threads", count=count)
    return tr("1 epoch") if count == 1 else tr("{count} epochs", count=count)


def device_text(plan: Plan) -> str:
    """Return where runs would train, in one line."""
    placement = plan.placement
    if placement.slurm is not None:
        return _slurm_text(placement.slurm.options, plan)
    if placement.kind == "cpu":
        runs = counted(len(placement.candidates) // placement.count, "run")
        return tr("CPU, {runs} at a time, {threads} each", runs=runs, threads=counted(placement.threads, "thread"))
    names = "; ".join(placement.names)
    if placement.count == 1:
        return tr("one of: {names}", names=names)
    return tr("{count} of: {names}", count=placement.count, names=names)


def share_lines(plan: Plan) -> Iterator[str]:
    """Yield how the devices of a run share a step, each way once; nothing where a run has one device."""
    for share in dict.fromkeys(plan.shares.values()):
        count = {"devices": share.devices, "images": share.images, "batch": share.batch}
        yield tr("{devices} devices a run, {images} images of a step on each: a batch of {batch}, as asked", **count)
        if plan.placement.nodes > 1:
            place = {"nodes": plan.placement.nodes, "count": plan.placement.count}
            yield tr("{nodes} nodes a run, {count} of its devices on each; only the first node is sampled", **place)
        yield tr("the learning rate is not scaled: the batch does not depend on the number of devices")
        yield tr("batch normalisation, where the model has it, sees the {images} images of one device", **count)


def _slurm_text(options: SlurmOptions, plan: Plan) -> str:
    """Return what Slurm is asked for each run, in one line: what engine/executor/slurm/submit.py asks."""
    placement = plan.placement
    gpus, threads = placement.count if placement.kind == "cuda" else 0, plan.threads * plan.ranks // placement.nodes
    return tr("Slurm: {words}", words=" ".join(options.words(gpus=gpus, threads=threads)))


def needs(plan: Plan) -> Iterator[str]:
    """Yield what each arm needed before and will probably take, and how much memory is free now."""
    for name, known in plan.estimates.items():
        yield f"{name}: {estimate_text(known)}"
    free = [tr("{device} has {size} GB free", device=name, size=f"{left / 1e9:.1f}")
            for name, left, _ in plan.gpus if left is not None]  # fmt: skip
    if free:
        yield ", ".join(free)


def estimate_text(known: Estimate) -> str:
    """Return what an arm will probably need; without history, how to get one."""
    measured = known.measured
    if measured is None:
        return tr("no history for this configuration: --preflight measures it")
    parts, by = [], tr("by a preflight's few steps")
    if measured.peak_memory is not None:
        size = f"{measured.peak_memory / 1e9:.1f}"
        if measured.memory_kind == "host":
            parts.append(tr("needed {size} GB of host memory before", size=size))
        else:
            parts.append(tr("needed {size} GB before", size=size))
    if known.seconds is not None:
        parts.append(f"{counted(known.epochs, 'epoch')} ≈ {_time(known.seconds)}")
    if measured.source == "preflight":
        parts[-1:] = [f"{part} ({by})" for part in parts[-1:]]
    return "; ".join(parts)


def _time(seconds: float) -> str:
    for size, unit in ((86400, tr("days")), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}" if seconds >= 10 * size else f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def built(plan: Plan) -> Iterator[str]:
    """Yield what is known of each arm's model before it is built: only a run, or a preflight, tells."""
    for name, known in plan.estimates.items():
        facts = (known.measured.built if known.measured else None) or {}
        told = ", ".join(f"{key.replace('_', ' ')} {value:,}" for key, value in facts.items())
        yield f"{name}: {told or tr('not yet known; a first run or --preflight tells')}"


def finding_text(finding: Finding) -> str:
    """Return what the audit of fairness says of one field, without a secret that differs between arms."""
    field = finding.field
    known = {arm: redacted({field: value})[field] for arm, value in finding.values.items()}
    values = ", ".join(f"{arm}: {_written(value)}" for arm, value in known.items())
    if finding.level == "varies":
        return tr("{field} differs, as declared ({values}).", field=field, values=values)
    if finding.level == "note":
        return tr("{field} is declared in `varies` but does not differ.", field=field)
    return tr(
        "{field} differs between the arms ({values}) and the recipe does not declare it in `varies`.",
        field=field,
        values=values,
    )


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def confounder_hint(finding: Finding) -> str:
    """Return what to do about a field that differs and is not declared."""
    return tr("give all arms the same {field}, or add it to `varies`", field=finding.field)
