"""A proxy on 127.0.0.1 that speaks SOCKS 5 and HTTP, may ask for a password, and leads every address to one server."""

import base64
import socket
import socketserver
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class FakeProxy:
    """The proxy as a context manager; ``asked`` are the hosts that clients wanted, as they named them."""

    def __init__(self, target: str, user: str = "", password: str = ""):
        self.target = urlsplit(target)
        self.user, self.password = user, password
        self.asked: list[str] = []
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.place = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "FakeProxy":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(socketserver.BaseRequestHandler):
    proxy: FakeProxy

    def handle(self) -> None:
        with suppress(OSError):
            first = self.request.recv(1, socket.MSG_PEEK)
            if first == b"\x05":
                self._socks()
            elif first:
                self._http()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.request.recv(count - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def _socks(self) -> None:
        methods = self._exactly(self._exactly(2)[1])
        if self.proxy.user:
            if 2 not in methods:
                return self.request.sendall(b"\x05\xff")
            self.request.sendall(b"\x05\x02")
            user = self._exactly(self._exactly(2)[1]).decode()
            password = self._exactly(self._exactly(1)[0]).decode()
            right = (user, password) == (self.proxy.user, self.proxy.password)
            self.request.sendall(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return None
        else:
            self.request.sendall(b"\x05\x00")
        kind = self._exactly(4)[3]
        if kind == 3:
            host = self._exactly(self._exactly(1)[0]).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, self._exactly(size))
        self._exactly(2)
        self.proxy.asked.append(host)
        self.request.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        return self._relay(b"")

    def _http(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._exactly(1)
        line, _, rest = head.partition(b"\r\n")
        method, address, _ = line.decode().split(" ")
        if self.proxy.user:
            login = base64.b64encode(f"{self.proxy.user}:{self.proxy.password}".encode())
            if b"proxy-authorization: basic " + login.lower() not in rest.lower():
                refusal = (
                    b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                return self.request.sendall(refusal)
        if method == "CONNECT":
            self.proxy.asked.append(address.rpartition(":")[0])
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            return self._relay(b"")
        self.proxy.asked.append(urlsplit(address).hostname)
        return self._relay(head)  # the server understands whole addresses too

    def _relay(self, first: bytes) -> None:
        """Pass bytes both ways until either side has no more."""
        with socket.create_connection((self.proxy.target.hostname, self.proxy.target.port)) as server:
            server.sendall(first)
            threading.Thread(target=self._pump, args=(self.request, server), daemon=True).start()
            self._pump(server, self.request)

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
