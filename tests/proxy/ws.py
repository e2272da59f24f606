"""Sends its arguments as the fragments of messages: `+` continues the message that was begun."""

import os
import socket
import struct
import sys

HOST = sys.argv[1]
stream = socket.create_connection((HOST, 8081), timeout=8)
stream.sendall(
    f"GET /ws HTTP/1.1\r\nHost: {HOST}:8081\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n".encode()
)
reader = stream.makefile("rb")
status = reader.readline().decode().strip()
print(status)
while reader.readline() not in (b"\r\n", b""):
    pass


def send(text, is_first, is_last):
    mask = os.urandom(4)
    head = (0x80 if is_last else 0) | (1 if is_first else 0)
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(text))
    stream.sendall(bytes([head, 0x80 | len(text)]) + mask + masked)


def receive():
    head = reader.read(2)
    if len(head) < 2:
        print("end")
        sys.exit()
    length = head[1] & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", reader.read(2))
    text = reader.read(length)
    if head[0] & 0xF == 8:
        print("close", struct.unpack(">H", text[:2])[0], text[2:].decode())
        sys.exit()
    print("message", text.decode())


words = sys.argv[2:]
for index, word in enumerate(words):
    continues = word.startswith("+")
    is_last = not words[index + 1 : index + 2] or not words[index + 1].startswith("+")
    send(word.removeprefix("+").encode(), not continues, is_last)
    if is_last:
        receive()
