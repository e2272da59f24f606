"""Connects once, and says how it went: `dial.py HOST`."""

import errno
import socket
import sys

try:
    socket.create_connection((sys.argv[1], 443), timeout=3).close()
    print("reached")
except socket.gaierror as error:
    print("no-name", error)
    sys.exit(2)
except OSError as error:
    print(errno.errorcode.get(error.errno, error))
    sys.exit(1)
