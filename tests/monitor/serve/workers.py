"""In place of the process that scores: ends at position 3, as one does that a message kills."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

from screen.errors import VectorError
from screen.monitor.serve.settings import Order

DEADLY = 3


def dies(connection: Connection, _parents_end: Connection | None, order: Order) -> None:
    file = order.folder / "done"
    done = int(file.read_text()) if file.exists() else 0
    connection.send(("ready", {"position": done}))
    while (message := connection.recv())[0] != "stop":
        while done < message[1]:
            last = done + 1 if done < order.alone_to else message[1]
            connection.send(("trying", done + 1, last))
            if done < DEADLY <= last and DEADLY not in order.deadly:
                os._exit(9)
            done = last
            file.write_text(str(done))
            connection.send(("logged", done))


def refuses(connection: Connection, _parents_end: Connection | None, _order: Order) -> None:
    connection.send(("failed", VectorError.__name__, "it does not fit", "give another"))
