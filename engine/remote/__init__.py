"""Another host over the user's own ssh: its detui run from here, its experiments copied for reading offline.

No port is opened and nothing of detui's listens anywhere: ssh starts the other host's `detui`, rsync copies over ssh.
How a host is reached (port, key, jump host) is said in ~/.ssh/config, where every other program finds it, too.
"""

from detui.engine.remote.host import Host, find_host
from detui.engine.remote.pull import KINDS, Pull, pull
from detui.engine.remote.ssh import Ended, call

__all__ = ["KINDS", "Ended", "Host", "Pull", "call", "find_host", "pull"]
