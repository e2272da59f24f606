"""Runs under the guard and does what a test says: a line of words in, a line out.

A system call that is refused is answered with the name of its errno.
"""

import errno
import json
import os
import socket
import struct
import sys
import threading

PATIENCE = 3
kept = {}
loops = {}


def peer(host, port):
    return (host, int(port))


def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def dial(host, port, patience=PATIENCE):
    stream = socket.socket(family(host), socket.SOCK_STREAM)
    stream.settimeout(patience)
    # A reset instead of a FIN leaves no port in TIME_WAIT.
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.connect(peer(host, port))
    return stream


def named(error):
    if isinstance(error, socket.gaierror):
        return {socket.EAI_AGAIN: "EAI_AGAIN", socket.EAI_NONAME: "EAI_NONAME", socket.EAI_FAIL: "EAI_FAIL"}.get(
            error.errno, str(error.errno)
        )
    if isinstance(error, TimeoutError) and error.errno is None:
        return "silence"
    return errno.errorcode.get(error.errno, str(error))


def connect(host, port):
    dial(host, port).close()
    return "ok"


def send(host, port):
    with socket.socket(family(host), socket.SOCK_DGRAM) as datagram:
        datagram.sendto(b"x", peer(host, port))
    return "ok"


def ask(host, port):
    """One datagram to an echo, and back."""
    with socket.socket(family(host), socket.SOCK_DGRAM) as datagram:
        datagram.settimeout(PATIENCE)
        datagram.sendto(b"x", peer(host, port))
        datagram.recv(16)
    return "ok"


def lookup(name):
    found = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
    return " ".join(sorted({entry[4][0] for entry in found}))


def open_(key, host, port):
    kept[key] = dial(host, port)
    return "ok"


def bind(key, host, port, to_host, to_port):
    """An unconnected socket that sends one datagram now and others later."""
    kept[key] = socket.socket(family(host), socket.SOCK_DGRAM)
    kept[key].settimeout(PATIENCE)
    kept[key].bind(peer(host, port))
    kept[key].sendto(b"x", peer(to_host, to_port))
    return "ok"


def talk(key, patience=PATIENCE):
    """What goes out on a kept connection to an echo comes back, or not in time."""
    stream = kept[key]
    stream.settimeout(float(patience))
    stream.sendall(b"word")
    left = 4
    while left:
        got = stream.recv(left)
        if not got:
            return "end"
        left -= len(got)
    return "ok"


def listen(key, host):
    """Accepts and echoes until the end of this process; says the port."""
    server = socket.create_server(peer(host, 0), family=family(host))
    kept[key] = server

    def serve():
        while True:
            stream, _ = server.accept()
            threading.Thread(target=echo, args=(stream,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return str(server.getsockname()[1])


def echo(stream):
    while got := stream.recv(4096):
        stream.sendall(got)


def socket_(family, kind, protocol):
    socket.socket(int(family), int(kind), int(protocol)).close()
    return "ok"


def flood(count):
    """So many connects, each to another denied address or port."""
    outcomes = {}
    for n in range(int(count)):
        host = f"198.51.{100 + n // 65536 % 100}.{n // 256 % 256}"
        with socket.socket() as stream:
            stream.setblocking(False)
            outcome = stream.connect_ex((host, 10000 + n % 256))
        count_outcome(outcomes, errno.errorcode.get(outcome, "ok"))
    return json.dumps(outcomes)


def names(first, count, port):
    """Resolves names that nobody asked for before and connects to every address at once."""
    outcomes = {}
    for n in range(int(first), int(first) + int(count)):
        try:
            found = socket.getaddrinfo(f"n{n}.bulk.test", int(port), type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            count_outcome(outcomes, "lookup " + named(error))
            continue
        for entry in found:
            with socket.socket(entry[0]) as stream:
                stream.settimeout(PATIENCE)
                count_outcome(outcomes, errno.errorcode.get(stream.connect_ex(entry[4]), "ok"))
    return json.dumps(outcomes)


def loop(key, host, port):
    """Connects again and again in the background, until `stop`."""
    ending = threading.Event()
    outcomes = {}
    target = peer(host, port)

    def work():
        while not ending.is_set():
            with socket.socket(family(host)) as stream:
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PATIENCE * 1000)
                count_outcome(outcomes, errno.errorcode.get(stream.connect_ex(target), "ok"))

    thread = threading.Thread(target=work)
    thread.start()
    loops[key] = (ending, thread, outcomes)
    return "ok"


def count(key):
    return str(sum(list(loops[key][2].values())))


def stop(key):
    ending, thread, outcomes = loops.pop(key)
    ending.set()
    thread.join()
    return json.dumps(outcomes)


def count_outcome(outcomes, outcome):
    outcomes[outcome] = outcomes.get(outcome, 0) + 1


def control(path, *request):
    """A request on the control socket, and the first line of the answer."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(PATIENCE)
        stream.connect(path)
        stream.sendall(" ".join(request).encode() + b"\n")
        return stream.makefile().readline().strip()


def write(path, *text):
    with open(path, "w") as file:
        file.write(" ".join(text))
    return "ok"


def whoami():
    with open("/proc/self/comm") as comm:
        return f"{os.getpid()} {os.getuid()} {comm.read().strip()}"


VERBS = {
    "ask": ask,
    "bind": bind,
    "connect": connect,
    "control": control,
    "count": count,
    "flood": flood,
    "listen": listen,
    "lookup": lookup,
    "loop": loop,
    "names": names,
    "open": open_,
    "send": send,
    "socket": socket_,
    "stop": stop,
    "talk": talk,
    "whoami": whoami,
    "write": write,
}

for line in sys.stdin:
    verb, *words = line.split()
    try:
        answer = VERBS[verb](*words)
    except OSError as error:
        answer = named(error)
    print(answer, flush=True)
os._exit(0)
