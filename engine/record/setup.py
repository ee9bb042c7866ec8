"""The tables of what was run: set-up, differences between arms, environment, asked and used, run log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detui.engine.analysis.fairness import Finding, declared_equal, flatten
from detui.engine.record.alike import PACKAGES, compare_facts, facts_of, packages_text
from detui.engine.record.data_table import DataTable
from detui.engine.record.facts import ExperimentFacts, RunFacts
from detui.engine.record.starts import NOT_SET, Starts, normal, shown
from detui.engine.record.text import Table, code, duration, moment, plain, size
from detui.engine.record.words import Words

BATCH = ("train.batch", "train.batch_size")
IMAGE = ("train.imgsz", "train.image_size", "data.image_size")
MODEL = ("model.name", "model.weights", "model.config", "model.size")


class Setup:
    """Tables of the set-up in one language."""

    def __init__(self, facts: ExperimentFacts, words: Words) -> None:
        self.facts, self.info, self.words = facts, facts.info, words
        self.starts = Starts(facts, words)
        self.data = DataTable(facts.info, words)
        self._configs = {str(arm["name"]): flatten(arm.get("config") or {}) for arm in self.info["arms"]}

    def table(self) -> Table:
        """The set-up as item and value."""
        words = self.words
        rows = [[title, value] for title, value in self._rows() if value]
        return Table([words("item"), words("value")], rows)

    def _rows(self) -> Iterator[tuple[str, str]]:
        """Title and value, those of the data after those of the model."""
        for item, value in self._items():
            yield self.words(item), value
            if item == "model":
                yield from self.data.rows()

    def _items(self) -> Iterator[tuple[str, str]]:
        info, words = self.info, self.words
        yield "experiment", code(info["id"])
        yield "name", plain(info.get("name") or "")
        yield "tags", ", ".join(map(plain, info.get("tags") or ()))
        yield "note", plain(info.get("note") or "")
        yield "recipe", code(info["recipe"])
        yield "profile", self._profile()
        yield "created", self.created()
        yield "executor", self._executor()
        yield "arms", "; ".join(self._arm(arm) for arm in info["arms"])
        yield "model", self._field(MODEL) or words("unknown")
        yield "epochs", str(info.get("epochs") or words("unknown"))
        yield "stages", self._stages()
        yield "batch", self._field(BATCH)
        yield "several devices", self._several_devices()
        yield "image size", self._field(IMAGE)
        yield "seeds", ", ".join(map(str, info["seeds"]))
        yield "checkpoint rule", self._rule()
        yield "milestones", ", ".join(map(str, info.get("milestones") or ())) or words("none")
        yield "branch", self._branch()
        yield "overrides", ", ".join(map(code, info.get("overrides") or ())) or words("none")

    def _branch(self) -> str:
        """Where a branch began, and what it changed there."""
        origin = self.info.get("branch")
        if not origin:
            return ""
        changed = [
            f"{code(one['field'])} {code(shown(one['before']))} → {code(shown(one['after']))}"
            for one in origin.get("changed") or ()
        ]
        run = code(f"{origin['experiment']}/{origin['run']}")
        return self.words("branched", run, origin["epoch"], "; ".join(changed) or self.words("nothing changed"))

    def _executor(self) -> str:
        """What was asked of Slurm, and its jobs; "" where this machine itself started the runs."""
        where = self.info.get("executor") or {}
        if where.get("name") != "slurm":
            return ""
        options = (where.get("options") or {}).items()
        asked = ", ".join(code(f"{name}={_joined(value)}") for name, value in options if value not in (None, "", []))
        jobs = dict.fromkeys(code(one.job) for run in self.facts.runs for one in run.attempts if one.job)
        return self.words("by slurm", ", ".join(jobs) or self.words("none"), asked or self.words("none"))

    def _profile(self) -> str:
        return code(self.info.get("profile"))

    def _arm(self, arm: Mapping[str, Any]) -> str:
        title = plain(self.words.pick(arm.get("title")))
        return f"{code(arm['name'])} ({title})" if title and title != arm["name"] else code(arm["name"])

    def _field(self, names: tuple[str, ...]) -> str:
        """One value for all arms, or each arm's own."""
        for name in names:
            found = {arm: config[name] for arm, config in self._configs.items() if config.get(name) is not None}
            if found and len({str(value) for value in found.values()}) == 1 and len(found) == len(self._configs):
                return code(next(iter(found.values())))
            if found:
                return ", ".join(
                    f"{code(arm)}: {code(config.get(name, NOT_SET))}" for arm, config in self._configs.items()
                )
        return ""

    def problems(self) -> list[str]:
        """The examples of what is wrong in the data: file, line and reason."""
        found = (problem for _, data in self.data.sets for problem in data.get("problems") or ())
        return [plain(example) for problem in found for example in problem.get("examples") or ()]

    def _several_devices(self) -> str:
        """How the devices of a run shared a step, as the workers told it; "" where each run had one."""
        told = [ranks for run in self.facts.runs for one in run.attempts if (ranks := one.begin.get("ranks"))]
        return "; ".join(dict.fromkeys(self._shared_step(ranks) for ranks in told))

    def _shared_step(self, ranks: Mapping[str, Any]) -> str:
        counts = (ranks.get(name, "?") for name in ("count", "images_per_device", "batch"))
        text = self.words("shared step", *counts)
        text += self.words("shared nodes", ranks["nodes"]) if "nodes" in ranks else ""
        norms = ranks.get("batch_norm_layers")
        return text + (self.words("shared norms", norms, ranks.get("batch_norm_images", "?")) if norms else "")

    def _stages(self) -> str:
        """The stages that all arms have, or those of each arm that has several; experiments had one list before."""
        shared = self.info.get("stages") or ()
        told = {str(arm["name"]): arm.get("stages") or (shared if len(shared) > 1 else ()) for arm in self.info["arms"]}
        texts = {arm: " → ".join(f"{plain(s['name'])} ({s['epochs']})" for s in stages)
                 for arm, stages in told.items() if stages}  # fmt: skip
        if len(set(texts.values())) == 1 and len(texts) == len(told):
            return next(iter(texts.values()))
        return "; ".join(f"{code(arm)}: {text}" for arm, text in texts.items())

    def _rule(self) -> str:
        rule = self.info["checkpoint_rule"]
        if rule.get("rule") == "last":
            return self.words("last")
        return self.words("best by", code(rule.get("metric", "val/AP")))

    def differs(self) -> Table:
        """Field × arm, with what the fairness audit says of the field."""
        words, arms = self.words, self.facts.arms
        levels = {one["field"]: one["level"] for one in self.info.get("fairness") or () if not one.get("within_arm")}
        names = {"note": "declared but equal", "varies": "varies", "confounder": "confounder"}
        rows = []
        for field, values in (self.info.get("differs") or {}).items():
            verdict = words(names.get(levels.get(field, ""), "field differs"))
            rows.append([code(field), *(code(shown(values.get(arm))) for arm in arms), verdict])
        return Table([words("field"), *(code(arm) for arm in arms), ""], rows)

    def confounders(self) -> list[str]:
        """What differs and should not: by the plan's audit, and in what was really built and used."""
        planned = [f for f in self.info.get("fairness") or () if f["level"] == "confounder"]
        told = {f["field"] for f in self.info.get("fairness") or ()}
        measured = [one.text for one in self._measured() if one.level == "confounder" and one.field not in told]
        return [plain(text) for text in (*(f.get("text") or f["field"] for f in planned), *measured)]

    def within_arms(self) -> list[str]:
        """What differs between imported trainings that are called one arm."""
        found = self.info.get("fairness") or ()
        return [plain(str(one["text"])) for one in found if one.get("within_arm")]

    def _measured(self) -> list[Finding]:
        """Arms are to be alike within one data set: across data sets nothing is subtracted."""
        facts, varies = self.facts, [str(name) for name in self.info.get("varies") or ()]
        found: list[Finding] = []
        for reference in facts.references:
            arms = [arm for arm in facts.arms if facts.same_data(reference, arm)]
            if len(arms) > 1:
                sides = {arm: facts_of(facts, arm, facts.of(arm)) for arm in arms}
                found += compare_facts(sides, varies, environments=self._named_environments())
        return found

    def notes(self) -> list[str]:
        """What else the audit has to say."""
        found = [f for f in self.info.get("fairness") or () if f["level"] == "note"]
        planned = [self._note(str(f["field"]), str(f.get("text") or f["field"])) for f in found]
        packages = [plain(packages_text(one.values)) for one in self._measured() if one.field == PACKAGES]
        return [*planned, *(self.words("packages follow", text) for text in dict.fromkeys(packages))]

    def _named_environments(self) -> dict[str, str]:
        """Arm → the environment that it trains in, where the experiment has several."""
        return {str(arm): str(one.get("name")) for arm, one in (self.info.get("environments") or {}).items()}

    def _note(self, field: str, text: str) -> str:
        """In the record's language where it is the one note that every recipe may get."""
        return self.words("equal note", code(field)) if text == declared_equal(field) else plain(text)

    def environment(self) -> Table:
        """Machine, drivers, packages and the state of the code."""
        words = self.words
        rows = [[words.known(item), value or words("unknown")] for item, value in self._environment()]
        return Table([words("item"), words("value")], rows)

    def _environment(self) -> Iterator[tuple[str, str]]:
        device, code_state = (self.info.get(name) or {} for name in ("device", "code"))
        hosts = self.starts.hosts()
        yield "host", ", ".join(map(plain, _each(hosts, "hostname")))
        yield "os", "; ".join(map(plain, _each(hosts, "os")))
        yield "cpu", "; ".join(dict.fromkeys(map(self._processor, hosts)))
        yield "memory", "; ".join(dict.fromkeys(size(host["memory"]) for host in hosts if host.get("memory")))
        yield from self._gpu(device)
        if own := self.info.get("environment"):
            pins = f" ({self.words('pins', own['pins'])})" if own.get("pins") else ""
            yield "named environment", plain(own.get("name") or "") + pins
        for arm, one in (self.info.get("environments") or {}).items():
            pins = f" ({self.words('pins', one['pins'])})" if one.get("pins") else ""
            yield "named environment", f"{code(arm)}: {plain(one.get('name') or '')}{pins}"
        for name, version in self._packages().items():
            yield plain(name), version
        yield "detui", plain(code_state.get("version") or "")
        yield "commit", code(code_state["commit"]) if code_state.get("commit") else ""
        yield "dirty", self._dirty(code_state)

    def _processor(self, host: Mapping[str, Any]) -> str:
        cores = f" ({self.words('cores', host['cores'])})" if host.get("cores") else ""
        return plain(host.get("cpu") or "") + cores

    def created(self) -> str:
        """When the experiment was launched; "" where it is not known."""
        return moment(self.info.get("created")) or ""

    def commit(self) -> str:
        """The commit that the experiment was launched from, and whether there were changes beside it."""
        state = self.info.get("code") or {}
        if not state.get("commit"):
            return self.words("unknown")
        changed = self._dirty(state) if state.get("dirty") else ""
        return code(state["commit"]) + (f" ({self.words('dirty')}: {changed})" if changed else "")

    def _gpu(self, device: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if device.get("kind") == "cpu":
            yield "gpu", self.words("no gpu")
            return
        attempts = [attempt for run in self.facts.runs for attempt in run.attempts]
        yield "gpu", "; ".join(dict.fromkeys(had for attempt in attempts if (had := self.starts.actual(attempt))))
        yield "candidates", ", ".join(map(plain, device.get("names") or device.get("candidates") or ()))
        yield "driver", ", ".join(map(plain, _each(self.starts.hosts(), "driver"))) or plain(device.get("driver") or "")
        used = [attempt.begin.get("device") or {} for attempt in attempts]
        yield "cuda", ", ".join(map(plain, _each(used, "cuda"))) or plain(device.get("cuda") or "")

    def _packages(self) -> dict[str, str]:
        """Package → version as the workers reported it; every version when runs disagree."""
        found: dict[str, dict[str, None]] = {}
        for run in self.facts.runs:
            for name, version in (run.begin.get("packages") or {}).items():
                found.setdefault(str(name), {})[plain(version)] = None
        return {name: ", ".join(versions) for name, versions in found.items()} or {"Python": "", "PyTorch": ""}

    def _dirty(self, state: Mapping[str, Any]) -> str:
        if state.get("dirty") is None:
            return ""
        if not state["dirty"]:
            return self.words("clean")
        return self.words("dirty yes", state["diff"]) if state.get("diff") else self.words("dirty lost")

    def hyperparameters(self) -> Table:
        """Values that the framework did not use as they were asked for; of each stage where there are several."""
        words = self.words
        rows: dict[tuple[str, ...], list[str]] = {}
        for arm in self.facts.arms:
            for run in self.facts.of(arm):
                for stage, line in self._told(run):
                    for field, asked, used in _changed(line):
                        key = (_column(arm, stage), field, shown(asked), shown(used))
                        rows.setdefault(key, []).append(str(run.seed))
        cells = [[who, ", ".join(seeds), code(field), code(asked), code(used)]
                 for (who, field, asked, used), seeds in rows.items()]  # fmt: skip
        return Table([words("arm"), words("seeds"), words("field"), words("asked"), words("used")], cells)

    def effective(self) -> Table:
        """Every value that the framework reported it used, one column an arm; runs that disagree are all shown.

        An arm of several stages has a column for each of them that has begun.
        """
        columns: dict[str, None] = {}
        used: dict[str, dict[str, list[str]]] = {}
        for arm in self.facts.arms:
            begun = [(stage, line) for run in self.facts.of(arm) for stage, line in self._told(run)]
            columns |= dict.fromkeys([_column(arm, stage) for stage, _ in begun] or [code(arm)])
            for stage, line in begun:
                for field, value in flatten(line.get("used") or {}).items():
                    told = used.setdefault(field, {}).setdefault(_column(arm, stage), [])
                    if code(shown(value)) not in told:
                        told.append(code(shown(value)))
        cells = [[code(field), *(", ".join(of.get(column, [self.words("missing")])) for column in columns)]
                 for field, of in sorted(used.items())]  # fmt: skip
        return Table([self.words("field"), *columns], cells)

    def _told(self, run: RunFacts) -> list[tuple[str, Mapping[str, Any]]]:
        """Stage and the line that says what was asked and used; "" for the whole of a run of one stage.

        A run of several stages says it anew in each; its first line tells of the stage alone that an attempt began in.
        """
        planned = next((arm.get("stages") for arm in self.info["arms"] if arm["name"] == run.arm), None) or ()
        told = [(stage.name, stage.line) for stage in run.stages if stage.line.get("used")]
        if told and max(len(run.stages), len(planned)) > 1:
            return told
        return [("", run.begin)] if run.begin else []

    def begun(self) -> bool:
        """Whether any worker has reported what it uses."""
        return any(run.begin for run in self.facts.runs)

    def run_log(self) -> Table:
        """State, attempts, time and end of each run."""
        words = self.words
        head = [words("run"), words("state"), words("epoch"), words("started"), words("duration"), words("attempts"),
                words("device used"), words("ended"), words("alarms")]  # fmt: skip
        return Table(head, [self._log_row(run) for run in self.facts.runs], frozenset({2}))

    def waiting(self) -> list[str]:
        """Dumped predictions that nobody has evaluated yet, or that could not be."""
        return [f"{code(run.name)}: {code(path)}" for run in self.facts.runs for path in run.waiting]

    def _log_row(self, run: RunFacts) -> list[str]:
        words, nothing = self.words, self.words("unknown" if self.facts.imported else "missing")
        seconds = [attempt.seconds for attempt in run.attempts if attempt.seconds is not None]
        ended = [plain(f"{attempt.number}: {attempt.ended}" if len(run.attempts) > 1 else attempt.ended)
                 for attempt in run.attempts if attempt.ended]  # fmt: skip
        ended += [plain(words("resumed", attempt.number, attempt.resumed_from_epoch))
                  for attempt in run.attempts if attempt.resumed_from_epoch is not None]  # fmt: skip
        if not ended and run.reason:
            ended = [plain(run.reason)]
        took = duration(sum(seconds)) if seconds else nothing
        guess = ((self.facts.info.get("estimates") or {}).get(run.arm) or {}).get("seconds")
        if guess and seconds and run.finished:
            took += f" ({words('estimated', duration(guess))})"
        return [
            code(run.name), words.known(run.state), f"{run.epoch} / {run.total_epochs or '?'}",
            moment(run.began) or nothing, took,
            str(len(run.attempts)), self.starts.devices(run), "; ".join(ended) or nothing,
            "; ".join(plain(text) for text in run.alarms) or words("none"),
        ]  # fmt: skip


def _each(told: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """What devices or machines are said to have, each answer once."""
    return list(dict.fromkeys(str(one[key]) for one in told if one.get(key)))


def _joined(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _column(arm: str, stage: str) -> str:
    """ "`l`", or "`l`, tuned" of one stage."""
    return f"{code(arm)}, {plain(stage)}" if stage else code(arm)


def _changed(line: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    asked, used = (flatten(line.get(name) or {}) for name in ("asked", "used"))
    for field, value in asked.items():
        if field in used and normal(used[field]) != normal(value):
            yield field, value, used[field]
