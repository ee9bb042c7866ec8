"""What a supervisor and the other nodes of its run say to each other: objects of JSON, one a line, over TCP."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

from detui.engine.run.files import encode

TOKEN = "DETUI_NODES_TOKEN"
"""Environment variable with the secret by which the supervisor knows its own nodes."""

_GREETING = 1 << 16
"""Bytes within which somebody who connects must have said who it is."""


def keep_alive(connection: socket.socket) -> None:
    """Have the kernel notice, within half a minute, that whoever is at the other end is gone without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def line(**said: Any) -> bytes:
    """What goes through a connection: one object of JSON a line."""
    return encode(said).rstrip(b"\n") + b"\n"


def listening() -> socket.socket:
    """A socket that listens on a free port of every address of this node, and does not wait."""
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    found = socket.create_server(("", 0), family=family, dualstack_ipv6=dual)
    found.setblocking(False)
    return found


@dataclass(slots=True)
class Node:
    """The supervisor's end of the connection to one node."""

    connection: socket.socket
    """Does not wait for what it is to hear."""
    name: str = ""
    """What Slurm calls it; "" as long as it has not said who it is."""
    behind: float = 0.0
    """Seconds that its clock is behind the one here."""
    devices: tuple[str, ...] = ()
    """Names of those that the run has there."""
    end: dict[str, Any] | None = None
    """How its ranks ended: `code`; `rank`, `node` and `time` of the one that failed first; `done`; `message`."""
    gone: bool = False
    """Whether the connection has ended."""
    _rest: bytes = b""

    def lines(self) -> list[dict[str, Any]]:
        """What it has said since. A connection that ended, or says what is none of ours, is gone."""
        try:
            while data := self.connection.recv(65536):
                self._rest += data
                if not self.name and len(self._rest) > _GREETING:
                    break
            self.gone = True
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True
        *whole, self._rest = self._rest.split(b"\n")
        try:
            found = [json.loads(line) for line in whole]
        except ValueError:
            found = [None]
        if all(isinstance(line, dict) for line in found):
            return found
        self.gone = True
        return []
