"""An agent's connection that must live: says one line a moment, and expects it back."""

import socket
import time

flow = socket.create_connection(("allowed.example", 443), timeout=5)
while True:
    flow.sendall(b"line\n")
    flow.recv(100)
    with open("/home/agent/echoes", "a") as out:
        out.write(f"{time.clock_gettime(time.CLOCK_MONOTONIC):.3f}\n")
    time.sleep(0.05)
