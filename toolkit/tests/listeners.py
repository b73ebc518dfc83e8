"""Programs that listen at a port and are no PostgreSQL."""

from __future__ import annotations

import socketserver
from contextlib import contextmanager
from threading import Thread


class Mute(socketserver.BaseRequestHandler):
    def handle(self):
        while self.request.recv(1024):
            pass


class Http(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(1024)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


class HangUp(socketserver.BaseRequestHandler):
    pass


@contextmanager
def listener(handler):
    """A port where a program that is no PostgreSQL accepts connections."""
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
