"""A hook: `hook.py FILE [SECONDS [CODE]]` appends what it is told to FILE, and then takes that long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

told = json.loads(sys.stdin.buffer.read())
told["session"] = os.getsid(0) == os.getpid()
told["secret"] = os.environ.get("TOKEN_OF_MINE")
with Path(sys.argv[1]).open("a") as file:
    file.write(json.dumps(told) + "\n")
print("the hook was here", flush=True)
if len(sys.argv) > 2:
    subprocess.Popen(["sleep", "543"])
    time.sleep(float(sys.argv[2]))
sys.exit(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
