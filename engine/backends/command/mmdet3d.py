"""A training repository in the style of OpenMMLab (mmdet3d, mmdet, CMT): what is started, and how it is watched.

Both halves use it, so it needs the standard library only. No shell reads anything of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detui.engine.backends.command.formats import entries


def expanded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with `command`, `cwd`, `resume`, `watch` and `checkpoints`, whichever way it gives them.

    What the recipe itself says of `cwd`, `watch` and `checkpoints` stays. Placeholders are still in all texts.
    """
    repository = config["mmdet3d"]
    found = {**config, "resume": list(config["resume"]), "command": list(config["command"] or ())}
    if repository is not None:
        found |= {
            "command": _command(repository),
            "cwd": config["cwd"] or repository["repository"],
            "resume": ["--resume-from" if repository["stack"] == "mmcv1" else "--resume", "{resume}"],
            "watch": config["watch"] or _watch(repository),
            "checkpoints": config["checkpoints"] or [f"{repository['work_dir']}/{name}_*.pth" for name in _SAVED],
            "env": {"PYTHONPATH": repository["repository"], **config["env"]},
        }
    return {**found, "watch": found["watch"] or entries(["json_lines"])}


_SAVED = ("epoch", "iter")


def _watch(repository: Mapping[str, Any]) -> list[dict[str, Any]]:
    if repository["stack"] == "mmcv1":
        return entries(["mmcv1", "aqr"])
    scalars = f"{repository['work_dir']}/*/vis_data/scalars.json"
    return [{**one, "file": scalars if one["format"] == "mmengine" else None} for one in entries(["mmengine", "aqr"])]


def _command(repository: Mapping[str, Any]) -> list[str]:
    """`PYTHON tools/train.py CONFIG --work-dir DIR --seed N --cfg-options a.b=1`, below torch's launcher if wanted."""
    many = repository["launcher"] == "pytorch"
    ranks = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={repository['processes']}"]
    words = [repository["python"], *(ranks if many else ()), repository["script"], repository["config"]]
    words += ["--work-dir", repository["work_dir"], *(["--launcher", "pytorch"] if many else [])]
    options = dict(_options(repository["options"]))
    if repository["seed"] and repository["stack"] == "mmcv1":
        words += ["--seed", "{seed}"]
    elif repository["seed"]:
        options = {"randomness.seed": "{seed}", **options}
    words += ["--cfg-options", *(f"{name}={value}" for name, value in options.items())] if options else []
    return words + list(repository["arguments"])


def _options(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """`model.head.clamp` → "2.5", as the framework's option reader takes it."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _options(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _written(value)


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_written, value))}]"
    return str(value)
