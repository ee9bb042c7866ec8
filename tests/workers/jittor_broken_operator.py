"""Operators in Jittor, the second of which has a kernel that no compiler takes: run in Jittor's environment."""

from __future__ import annotations

import json
import os

from detui.engine.worker.jittor_start import import_jittor

jt = import_jittor(seed=0)
from detui.engine.backends.parity.frameworks.in_jittor import Jittor  # noqa: E402 - after Jittor's own import
from detui.engine.backends.parity.operators import FAILED, measure, table  # noqa: E402 - after Jittor's own import


class Broken(Jittor):
    """GELU does not compile."""

    def gelu(self, x):
        """See `Framework`."""
        return jt.code(x.shape, x.dtype, [x], cpu_src="this is no C++")


chosen = [one for one in table() if one.name in ("SiLU", "GELU", "sigmoid", "softmax")]
found = measure(Broken(), chosen)
print(json.dumps({name: str(one[FAILED]) if FAILED in one else sorted(one) for name, one in found.items()}), flush=True)
os._exit(0)
