"""Programs that listen at a port and are no PostgreSQL, or change what it is asked."""

from __future__ import annotations

import socket
import socketserver
from contextlib import contextmanager, suppress
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


@contextmanager
def rewriting_proxy(settings, rewrite):
    """A port that leads to a server, and rewrites what a client sends."""

    class Proxy(socketserver.BaseRequestHandler):
        def handle(self):
            address = (settings.url.host, settings.url.port)
            with socket.create_connection(address) as server:
                Thread(target=self.answer, args=[server], daemon=True).start()
                while sent := self.request.recv(65536):
                    server.sendall(rewrite(sent))

        def answer(self, server):
            with suppress(OSError):  # the client has hung up
                while answer := server.recv(65536):
                    self.request.sendall(answer)

    with listener(Proxy) as port:
        yield port
