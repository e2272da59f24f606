import socket

for place in (("denied.test", 80), ("198.51.100.10", 80), ("2001:db8:ff::10", 80)):
    try:
        socket.create_connection(place, 5).close()
    except OSError as error:
        print(place, error)
