"""Remote files for tests: a web server on this machine, and a file system that breaks off."""

import hashlib
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fsspec.implementations.memory import MemoryFileSystem


class BrittleFileSystem(MemoryFileSystem):
    """Memory that breaks off after so many bytes of each file, and counts what was read."""

    protocol = "brittle"
    store: dict = {}
    pseudo_dirs = [""]
    fail_after = None
    read_bytes = 0

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("brittle://", "memory://"))

    def _open(self, path, mode="rb", **kwargs):
        file = super()._open(path, mode, **kwargs)
        return file if "r" not in mode else _BrittleFile(file, type(self))


class _BrittleFile:
    def __init__(self, file, owner):
        self._file, self._owner = file, owner

    def seek(self, offset):
        self._file.seek(offset)

    def read(self, size):
        limit = self._owner.fail_after
        if limit is not None:
            left = limit - self._file.tell()
            if left <= 0:
                raise ConnectionResetError("the line went dead")
            size = min(size, left)
        data = self._file.read(size)
        self._owner.read_bytes += len(data)
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass  # a memory file must not be closed


class WebServer:
    """Files over HTTP, with or without ranges and tags; every request is kept."""

    def __init__(self):
        self.files = {}
        self.requests = []
        self.has_ranges = True
        self.has_tags = True
        self.cut_after = None
        self.status = None
        self.on_body = lambda: None

    @contextmanager
    def running(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.address = f"127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _handler(self):
        web = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                web.requests.append((self.path, dict(self.headers)))
                content = web.files.get(self.path.partition("?")[0])
                if web.status or content is None:
                    self.send_error(web.status or 404)
                    return
                tag = f'"{hashlib.sha256(content).hexdigest()[:12]}"'
                wanted = self.headers.get("Range") if web.has_ranges else None
                if self.headers.get("If-Range", tag) != tag:
                    wanted = None
                start, end = 0, len(content)
                if wanted:
                    first, _, last = wanted.removeprefix("bytes=").partition("-")
                    start, end = int(first), int(last) + 1 if last else len(content)
                    if start >= len(content):
                        self.send_response(416)
                        self.send_header("Content-Range", f"bytes */{len(content)}")
                        self.send_header("Content-Length", "0")
                        self.end_headers()
                        return
                body = content[start:end]
                self.send_response(206 if wanted else 200)
                if wanted:
                    stop = start + len(body) - 1
                    self.send_header("Content-Range", f"bytes {start}-{stop}/{len(content)}")
                self.send_header("Content-Length", str(len(body)))
                if web.has_tags:
                    self.send_header("ETag", tag)
                self.end_headers()
                if web.cut_after is not None:
                    body = body[: max(0, web.cut_after - start)]
                if len(body) > 1:
                    web.on_body()
                with suppress(BrokenPipeError, ConnectionResetError):  # the head was wanted only
                    self.wfile.write(body)

        return Handler
