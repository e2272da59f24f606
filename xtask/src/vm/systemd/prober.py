"""Tries to reach what no rule allows, from its first instant on and for ever."""

import errno
import socket
import time

attempts = 0
while True:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(("203.0.113.66", 443))
            said = "REACHED"
        except OSError as error:
            said = errno.errorcode.get(error.errno, str(error))
    attempts += 1
    with open("/run/prober/attempts", "a") as out:
        out.write(f"{time.clock_gettime(time.CLOCK_MONOTONIC):.3f} {said}\n")
    time.sleep(0.02)
