"""The application of the preforked server, and its client: `preforked.py SOCKET SECONDS`."""

import http.client
import random
import socket
import sys
import time

OBJECTS = 1_500_000
READ_AT_ONCE = 10_000
# Only the server has the data.
DATA = [f"object {number} of the data" for number in range(OBJECTS if __name__ != "__main__" else 0)]


def application(_environ, start_response):
    start = random.randrange(OBJECTS - READ_AT_ONCE)
    # A new list holds references to these objects while it is there.
    body = str(len(DATA[start : start + READ_AT_ONCE])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask(path):
    connection = UnixConnection(path)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    except OSError:
        # The server has not bound its socket yet.
        time.sleep(0.1)
        return None
    finally:
        connection.close()


def main():
    path, seconds = sys.argv[1], float(sys.argv[2])
    until = time.monotonic() + seconds
    answers = 0
    while time.monotonic() < until:
        answers += ask(path) is not None
        time.sleep(0.01)
    print(f"{answers} answers")
    sys.exit(answers < 100)


if __name__ == "__main__":
    main()
