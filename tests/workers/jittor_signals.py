"""What a process is after Jittor was imported: run in its environment by `test_jittor_environment.py`."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

from detui.engine.worker.jittor_start import import_jittor
from detui.engine.worker.stop import StopFlag

heard: list[str] = []
if sys.argv[1] == "worker":
    flag = StopFlag().install()
jt = import_jittor(seed=7)
import numpy as np  # noqa: E402 - after Jittor, whose import seeds it by the clock

drawn = [random.random(), float(np.random.rand()), float(jt.rand(1).item())]
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
child.kill()  # with Jittor's own handler, this process would be ended by that
child.wait()
time.sleep(0.2)
if sys.argv[1] == "worker":
    os.kill(os.getpid(), signal.SIGINT)  # a worker ignores it
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)
    heard.append("stop" if flag.requested else "nothing")
else:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    except KeyboardInterrupt:
        heard.append("interrupt")
total = float((jt.array([1, 2]) + 1).sum().item())
print(json.dumps({"drawn": drawn, "heard": heard, "child": child.returncode, "total": total}), flush=True)
os._exit(0)
