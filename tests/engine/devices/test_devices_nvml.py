"""NVML through the real nvidia-ml-py, answered by a compiled stand-in for the driver's library."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detui.engine.process.lease import take

A = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
B = "GPU-abbbbbbb-1111-1111-1111-111111111111"
TWO = f"""count=2
gpu0.uuid={A}
gpu0.name=Big GPU
gpu0.total=85899345920
gpu0.used=1073741824
gpu0.util=87
gpu0.power=321500
gpu0.temp=61
gpu1.uuid={B}
gpu1.name=Small GPU
gpu1.total=25769803776
gpu1.used=0
gpu1.util=0
"""

Ask = Callable[..., Any]


@pytest.fixture
def ask(library: Path, tmp_path: Path) -> Ask:
    """Evaluates an expression over engine.devices.nvml in a process that sees the stand-in."""

    def evaluate(expression: str, answers: str = TWO, **environ: str) -> Any:
        (tmp_path / "answers").write_text(answers)
        code = (
            "import json, os, sys; from dataclasses import asdict\n"
            "from detui.engine.devices.nvml import *\n"
            "from detui.engine.devices.nvml import sample_gpus, gpu_problem\n"
            f"print(json.dumps({expression}))"
        )
        places = {"LD_LIBRARY_PATH": str(library), "NVML_STAND_IN": str(tmp_path / "answers")}
        clean = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        ended = subprocess.run(
            [sys.executable, "-c", code], env={**clean, **places, **environ}, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return evaluate


def test_gpus_are_listed_as_nvidia_smi_counts_them(ask: Ask) -> None:
    assert ask("[asdict(gpu) for gpu in list_gpus()]") == [
        {"index": 0, "uuid": A, "name": "Big GPU", "memory_total": 85899345920},
        {"index": 1, "uuid": B, "name": "Small GPU", "memory_total": 25769803776},
    ]
    assert ask("driver_versions()") == {"driver": "580.65.06", "cuda": "13.2"}
    assert ask("gpu_problem()") is None


def test_a_sample_says_what_the_driver_says(ask: Ask) -> None:
    sample = ask(f"sample_gpus([{A!r}])")
    assert sample == [{
        "uuid": A, "index": 0, "name": "Big GPU", "memory_used": 1 << 30, "memory_total": 80 << 30,
        "utilization": 87, "power": 321.5, "temperature": 61,
    }]  # fmt: skip


def test_each_query_fails_alone_and_is_none(ask: Ask) -> None:
    failing = TWO + "gpu0.fail.nvmlDeviceGetPowerUsage=4\ngpu0.fail.nvmlDeviceGetMemoryInfo_v2=13\n"
    sample = ask(f"sample_gpus([{A!r}])", failing)[0]
    assert sample["power"] is None and sample["utilization"] == 87
    assert sample["memory_used"] == (1 << 30) + (1 << 20), "version 1 of the query stands in"
    nothing = ask(f"sample_gpus([{B!r}])", TWO)[0]
    assert (nothing["power"], nothing["temperature"], nothing["utilization"]) == (None, None, 0)


def test_a_lost_gpu_takes_no_other_with_it(ask: Ask) -> None:
    lost = TWO + "gpu0.fail=15\n"
    assert ask("[(gpu.index, gpu.uuid) for gpu in list_gpus()]", lost) == [[1, B]]
    sample = ask(f"sample_gpus([{A!r}, {B!r}])", lost)
    assert sample[0] == {"uuid": A} | dict.fromkeys(
        ("index", "name", "memory_used", "memory_total", "utilization", "power", "temperature")
    )
    assert sample[1]["memory_used"] == 0


def test_a_driver_that_does_not_match_its_library(ask: Ask) -> None:
    broken = TWO + "fail.nvmlInit=18\n"
    assert ask("[list_gpus(), driver_versions()]", broken) == [[], {"driver": None, "cuda": None}]
    assert "mismatch" in ask("gpu_problem()", broken).lower()


def test_no_library_at_all() -> None:
    code = (
        "from detui.engine.devices.nvml import *\nfrom detui.engine.devices.nvml import gpu_problem\n"
        "import sys; assert list_gpus() == [] == visible_gpus({}), 1\n"
        "assert 'libnvidia-ml' in gpu_problem() and 'pynvml' not in sys.modules"
    )
    from detui.engine.devices.nvml import gpu_problem

    if gpu_problem() is None:
        pytest.skip("this machine has a working NVIDIA driver")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, [A, B]),
        ("1,0", [B, A]),
        ("1", [B]),
        ("", []),
        ("-1", []),
        ("0,-1,1", [A]),
        ("0,7,1", [A]),
        ("0,0", []),
        (B, [B]),
        ("GPU-ab,GPU-aaa", [B, A]),
        ("GPU-a", []),
        (" 1 , 0 ", [B, A]),
        ("nonsense", []),
    ],
)
def test_cuda_visible_devices_is_respected(ask: Ask, asked: str | None, expected: list[str]) -> None:
    environ = {} if asked is None else {"CUDA_VISIBLE_DEVICES": asked}
    assert ask("[gpu.uuid for gpu in visible_gpus(os.environ)]", **environ) == expected


def test_a_divided_gpu_is_its_instances(ask: Ask) -> None:
    divided = TWO + "".join(
        f"gpu0.mig{n}.uuid=MIG-{n}\ngpu0.mig{n}.name=Big GPU 3g.40gb\n"
        f"gpu0.mig{n}.total=42949672960\ngpu0.mig{n}.used=5\n"
        for n in (0, 2)
    )  # fmt: skip
    divided += "gpu0.mig=1\n"
    listed = ask("[(gpu.index, gpu.uuid, gpu.memory_total) for gpu in list_gpus()]", divided)
    assert listed == [[0, "MIG-0", 40 << 30], [0, "MIG-2", 40 << 30], [1, B, 24 << 30]]
    chosen = ask("[gpu.uuid for gpu in visible_gpus(os.environ)]", divided, CUDA_VISIBLE_DEVICES="MIG-2")
    assert chosen == ["MIG-2"]
    sample = ask("sample_gpus(['MIG-2'])", divided)[0]
    assert (sample["memory_used"], sample["utilization"]) == (5, None), "an instance has no utilisation"


class TestPlacement:
    """`--devices` on a machine with two GPUs: which physical device a run would get."""

    @pytest.fixture
    def place(self, ask: Ask, tmp_path: Path) -> Callable[..., Any]:
        """The placement of a `--devices`, beside a torch that is built for CUDA."""
        (tmp_path / "torch-2.13.0.dist-info").mkdir()
        metadata = "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+cu130\n"
        (tmp_path / "torch-2.13.0.dist-info" / "METADATA").write_text(metadata)

        def placed(asked: str, answers: str = TWO, own_torch: bool = True, **environ: str) -> Any:
            module = "__import__('detui.engine.placement', fromlist=['place'])"
            held = "__import__('detui.engine.process.lease', fromlist=['held']).held"
            call = f"asdict({module}.place({asked!r}, own_torch={own_torch}, held={held}))"
            return ask(call, answers, PYTHONPATH=str(tmp_path), **environ)

        return placed

    def test_auto_takes_every_gpu_that_may_be_seen(self, place: Callable[..., Any]) -> None:
        found = place("auto")
        assert (found["kind"], found["candidates"]) == ("cuda", [A, B])
        assert place("auto", CUDA_VISIBLE_DEVICES="1")["candidates"] == [B]

    def test_an_index_is_the_one_of_nvidia_smi_also_under_a_restriction(self, place: Callable[..., Any]) -> None:
        found = place("1,", CUDA_VISIBLE_DEVICES="1")
        assert found["candidates"] == [B]
        assert found["names"] == [f"GPU 1, Small GPU ({B})"]

    def test_a_gpu_that_is_hidden_is_refused_with_the_reason(self, place: Callable[..., Any]) -> None:
        with pytest.raises(AssertionError, match="CUDA_VISIBLE_DEVICES=1 lets you see"):
            place("0,", CUDA_VISIBLE_DEVICES="1")

    @pytest.mark.parametrize("asked", [B, B.lower(), "gpu-ab", f"{B},1"])
    def test_a_uuid_or_its_beginning_is_enough(self, place: Callable[..., Any], asked: str) -> None:
        assert place(asked)["candidates"] == [B]

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ("GPU-a", f"UsageError: --devices: 'GPU-a' stands for 2 devices.*{A}, {B}"),
            ("GPU-c", "MissingError: --devices: There is no GPU GPU-c"),
            ("7,", "MissingError: --devices: There is no GPU 7.*--devices 0,1"),
            ("0;1", "UsageError: --devices: '0;1' names no device"),
            ("", "UsageError"),
        ],
    )
    def test_what_names_no_one_device_is_refused(self, place: Callable[..., Any], asked: str, words: str) -> None:
        with pytest.raises(AssertionError, match=f"(?s){words}"):
            place(asked or ",")

    def test_an_index_of_a_divided_gpu_is_refused_with_its_instances(self, place: Callable[..., Any]) -> None:
        divided = TWO + "gpu0.mig=1\n" + "".join(
            f"gpu0.mig{n}.uuid=MIG-{n}\ngpu0.mig{n}.name=3g.40gb\ngpu0.mig{n}.total=42949672960\ngpu0.mig{n}.used=5\n"
            for n in (0, 2)
        )  # fmt: skip
        with pytest.raises(AssertionError, match=r"(?s)GPU 0 stands for 2 devices.*MIG-0, MIG-2"):
            place("0,", divided)
        assert place("MIG-2,1", divided)["candidates"] == ["MIG-2", B]

    def test_a_gpu_in_use_is_a_warning(self, place: Callable[..., Any], tmp_path: Path) -> None:
        busy = TWO + "gpu1.used=21582213120\n"
        leases = {"DETUI_LEASES": str(tmp_path / "leases")}
        assert place("auto", **leases)["warnings"] == []
        assert place("auto", busy, **leases)["warnings"] == ["GPU 1 has 20.1 of 24.0 GiB in use by others."]
        assert not (tmp_path / "leases").exists(), "a plan leaves nothing behind"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DETUI_LEASES", leases["DETUI_LEASES"])
            lease = take(B, "a run of detui")
        assert lease is not None
        assert place("auto", busy, **leases)["warnings"] == [], "it is waited for"
        lease.release()

    def test_the_torch_of_another_environment_is_not_judged_by_ours(
        self, place: Callable[..., Any], tmp_path: Path
    ) -> None:
        metadata = tmp_path / "torch-2.13.0.dist-info" / "METADATA"
        metadata.write_text(metadata.read_text().replace("+cu130", "+cpu"))
        with pytest.raises(AssertionError, match="built for the CPU"):
            place("0,")
        assert place("auto")["kind"] == "cpu"
        assert place("0,", own_torch=False)["candidates"] == [A]
        assert place("auto", own_torch=False)["kind"] == "cuda"

    def test_a_bare_integer_is_how_many_and_a_list_is_which(self, place: Callable[..., Any]) -> None:
        one, two, named = place("1"), place("2"), place("0,1")
        assert (one["count"], one["candidates"], one["named"]) == (1, [A, B], False)
        assert (two["count"], two["candidates"], two["named"]) == (2, [A, B], False)
        assert (named["count"], named["candidates"], named["named"]) == (1, [A, B], True)
        assert place("1,")["candidates"] == [B]
        with pytest.raises(AssertionError, match=r"--devices: Each run would take 3 devices, and there are 2"):
            place("3")

    def test_without_a_gpu_it_is_the_cpu(self, place: Callable[..., Any]) -> None:
        assert place("auto", "count=0\n", DETUI_CPU_SLOTS="3")["candidates"] == ["cpu:0", "cpu:1", "cpu:2"]
        assert place("cpu")["kind"] == "cpu"


def test_a_plan_warns_of_a_gpu_in_use_and_asks_only_its_own_torch(ask: Ask, tmp_path: Path) -> None:
    metadata = tmp_path / "torch-2.13.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+cpu\n")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "schema: 1\ntitle: t\nquestion: q?\nbackend: command\nenvironment: other\n"
        "base: {command: [sleep, '1'], epochs: 1}\narms: {only: {}}\n"
    )
    plan = (
        "(lambda plan: [plan.placement.candidates, [[p.level, p.text] for p in plan.problems]])("
        "__import__('detui.engine.workspace', fromlist=['W']).Workspace.open(WORKSPACE).plan(RECIPE, devices='1,'))"
    )
    plan = plan.replace("WORKSPACE", repr(str(tmp_path / "logs"))).replace("RECIPE", repr(str(recipe)))
    environ = {"PYTHONPATH": str(tmp_path), "DETUI_LEASES": str(tmp_path / "leases")}
    candidates, problems = ask(plan, TWO + "gpu1.used=21582213120\n", **environ)
    assert candidates == [B], "the recipe's environment has a torch of its own"
    assert ["warning", "GPU 1 has 20.1 of 24.0 GiB in use by others."] in problems
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETUI_LEASES", environ["DETUI_LEASES"])
        lease = take(B, "a run of detui")
    assert lease is not None
    assert not any("in use" in text for _, text in ask(plan, TWO + "gpu1.used=21582213120\n", **environ)[1])
    lease.release()


def test_who_computes_on_a_gpu(ask: Ask) -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        answers = TWO + f"gpu0.procs={process.pid}:2147483648,999999999:NA\n"
        owner = getpass.getuser()
        assert ask(f"[asdict(one) for one in gpu_processes({A!r})]", answers) == [
            {"pid": process.pid, "memory": 2 << 30, "user": owner, "command": "sleep"},
            {"pid": 999999999, "memory": None, "user": None, "command": None},
        ]
    finally:
        process.kill()
        process.wait()
    assert ask(f"gpu_processes({B!r})") == []
    failing = TWO + "gpu0.fail.nvmlDeviceGetComputeRunningProcesses_v3=15\n"
    assert ask(f"gpu_processes({A!r})", failing) is None
    assert ask("gpu_processes('GPU-nowhere')") is None


def test_nvitop_reads_the_same_numbers(library: Path, tmp_path: Path, ask: Ask) -> None:
    """An independent witness, which binds NVML its own way."""
    pytest.importorskip("nvitop", reason="needs nvitop as a witness")
    answers = TWO + f"gpu1.procs={os.getpid()}:1048576\n"
    (tmp_path / "witness").write_text(answers)
    code = (
        "import json; from nvitop import Device\n"
        "print(json.dumps([[d.uuid(), d.name(), d.memory_total(), d.memory_used(), d.gpu_utilization(),"
        " d.temperature(), d.power_usage(), sorted(d.processes())] for d in Device.all()], default=str))"
    )
    places = {"LD_LIBRARY_PATH": str(library), "NVML_STAND_IN": str(tmp_path / "witness")}
    clean = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run([sys.executable, "-c", code], env={**clean, **places}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    ours = ask(
        "[[s['uuid'], s['name'], s['memory_total'], s['memory_used'], s['utilization'], s['temperature'],"
        " s['power'], [p.pid for p in gpu_processes(s['uuid'])]]"
        f" for s in sample_gpus([{A!r}, {B!r}])]",
        answers,
    )
    assert len(theirs) == len(ours) == 2
    for their, our in zip(theirs, ours, strict=True):
        uuid, name, total, used, use, warm, power, pids = our
        assert their[:5] == [uuid, name, total, used, use]
        assert their[5] == ("N/A" if warm is None else warm)
        assert their[6] == ("N/A" if power is None else round(power * 1000))
        assert their[7] == pids
