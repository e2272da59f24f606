"""A small internet in a network namespace of its own: a DNS server, a site that the policy allows,
and one that it does not. Every query and every packet to the latter is written down."""

import socket
import struct
import threading

RECORDS = "/run/world"
SITE, BAIT, RESOLVER = "203.0.113.10", "203.0.113.66", "203.0.113.53"


def note(file, line):
    with open(f"{RECORDS}/{file}", "a") as out:
        out.write(line + "\n")


def name_of(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
        at += 1 + query[at]
    return ".".join(labels).lower(), query[12 : at + 5]


def serve_dns():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((RESOLVER, 53))
    while True:
        query, client = server.recvfrom(4096)
        name, question = name_of(query)
        note("queries", name)
        kind = struct.unpack("!H", question[-4:-2])[0]
        answer = b""
        if kind == 1:
            address = SITE if name == "allowed.example" else BAIT
            answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + socket.inet_aton(address)
        counts = struct.pack("!HHHH", 1, 1 if answer else 0, 0, 0)
        server.sendto(query[:2] + b"\x81\x80" + counts + question + answer, client)


def echo(connection):
    while data := connection.recv(4096):
        connection.sendall(data)


def serve_tcp(address):
    server = socket.create_server((address, 443), backlog=64)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def watch():
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    while True:
        packet, _ = tap.recvfrom(65535)
        if packet[16:20] == socket.inet_aton(BAIT):
            note("bait", socket.inet_ntoa(packet[12:16]))


for work in [(serve_dns,), (serve_tcp, SITE), (serve_tcp, BAIT), (watch,)]:
    threading.Thread(target=work[0], args=work[1:]).start()
note("ready", "")
