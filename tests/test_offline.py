"""A published data set comes over the network once; after that no network is needed."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.third_party.install import write_package

N_IMAGES = 20
CODE = '''
"""A data set of images that are downloaded."""

import io

from isocortex.data.dataset import Dataset, make_responses
from isocortex.interfaces import DatasetPlugin, StimuliPlugin
from isocortex.data.stimuli import StimulusSet


class Images(StimuliPlugin):
    def load(self, files):
        return StimulusSet(self.card.id, "image", {name.split("/")[1][:-4]: path for name, path in files.items()})


class Responses(DatasetPlugin):
    def load(self, files, stimuli):
        import numpy as np

        table = np.loadtxt(files["responses.csv"], delimiter=",")
        return Dataset(self.card.id, stimuli, responses=make_responses(table, stimuli.ids))
'''
MANIFEST = """
[plugin]
api = 1

[[stimuli]]
id = "remote-images"
modality = "image"
object = "iso_remote:Images"
files = "images.csv"

[[dataset]]
id = "Remote"
stimuli = "remote-images"
object = "iso_remote:Responses"
files = "responses.csv"

[[benchmark]]
id = "Remote.ridge"
dataset = "Remote"
metric = "ridge"
"""


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """Make every connection fail, as a machine without network does."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(101, "Network is unreachable")

    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(socket.socket, "connect", refuse)
        cut.setattr(socket, "getaddrinfo", refuse)
        yield


class Quiet(http.server.BaseHTTPRequestHandler):
    """Serves what lies in ``content`` and counts the requests."""

    content: dict[str, bytes]
    requests: list[str]

    def do_GET(self) -> None:
        """Answer one request."""
        self.requests.append(self.path)
        body = self.content.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(body or b"")

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, type[Quiet]]]:
    """Address of a server on this machine, and what it serves."""
    handler = type("Handler", (Quiet,), {"content": {}, "requests": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{opened.server_port}", handler
        opened.shutdown()


def png(generator: np.random.Generator, level: float) -> bytes:
    """A random image of some brightness."""
    stream = io.BytesIO()
    pixels = np.clip(generator.normal(level, 10, (16, 16, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


@pytest.fixture
def site(tmp_path: Path, server) -> Path:
    """A folder on the path that holds an installed package whose files lie on the server."""
    address, handler = server
    generator = np.random.default_rng(0)
    levels = generator.uniform(40, 200, N_IMAGES)
    files = {f"images/i{number:02d}.png": png(generator, level) for number, level in enumerate(levels)}
    responses = "\n".join(f"{level},{2 * level + generator.normal()}" for level in levels).encode()
    handler.content.update({f"/{name}": body for name, body in {**files, "responses.csv": responses}.items()})
    content = {
        "__init__.py": CODE,
        "isocortex.toml": MANIFEST,
        "images.csv": listing(address, files),
        "responses.csv": listing(address, {"responses.csv": responses}),
    }
    write_package(tmp_path / "site", "iso-remote", content)
    return tmp_path / "site"


def listing(address: str, files: dict[str, bytes]) -> str:
    """The CSV of a plugin's files."""
    rows = [f"{name},{address}/{name},{hashlib.sha256(body).hexdigest()},{len(body)}" for name, body in files.items()]
    return "\n".join(["name,url,sha256,bytes", *rows]) + "\n"


SCORE = ("score", "-m", "pixels", "-b", "Remote.ridge", "--json")


def test_after_fetch_no_network_is_needed(isocortex, site, server) -> None:
    env = {"PYTHONPATH": str(site)}
    with no_network():
        refused = isocortex(*SCORE, "--offline", env=env)
        assert refused.returncode == 1
        assert "--offline forbids downloading" in refused.stderr
        unreachable = isocortex("fetch", "-b", "Remote.ridge", env=env)
        assert unreachable.returncode == 1
        assert "could not be downloaded in 3 attempts" in unreachable.stderr
        assert "Traceback" not in unreachable.stderr

    fetched = isocortex("fetch", "-b", "Remote.ridge", env=env)
    assert fetched.returncode == 0, fetched.stderr
    n_requests = len(server[1].requests)
    assert n_requests == N_IMAGES + 1
    with no_network():
        for options in ((), ("--offline",)):
            done = isocortex(*SCORE, *options, env=env)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)[0]["value"] > 0.9
        assert isocortex("fetch", "-b", "Remote.ridge", "--verify", env=env).returncode == 0
    assert len(server[1].requests) == n_requests


def test_score_downloads_what_is_missing(isocortex, site) -> None:
    done = isocortex(*SCORE, env={"PYTHONPATH": str(site)})
    assert done.returncode == 0, done.stderr
    assert "downloading" in done.stderr


def test_a_damaged_file_is_removed_and_named(isocortex, site, server, own_folders) -> None:
    _, handler = server
    env = {"PYTHONPATH": str(site)}
    whole = handler.content["/images/i03.png"]
    handler.content["/images/i03.png"] = whole[:-1] + b"?"
    refused = isocortex("fetch", "-b", "Remote.ridge", env=env)
    assert refused.returncode == 1
    assert "i03.png" in refused.stderr
    assert "another checksum" in refused.stderr
    place = own_folders / "data" / "iso-remote" / "images" / "i03.png"
    assert not place.exists()

    handler.content["/images/i03.png"] = whole
    assert isocortex("fetch", "-b", "Remote.ridge", env=env).returncode == 0
    place.write_bytes(whole[:-1] + b"!")
    refused = isocortex(*SCORE, "--offline", env=env)
    assert refused.returncode == 1
    assert "another checksum than expected and were removed: images/i03.png" in refused.stderr
    assert not place.exists()
    assert isocortex(*SCORE, env=env).returncode == 0


def test_files_from_a_folder_at_any_depth(isocortex, site, server, tmp_path) -> None:
    _, handler = server
    deep = tmp_path / "disk" / "somewhere" / "deep"
    deep.mkdir(parents=True)
    for name, body in handler.content.items():
        (deep / Path(name).name).write_bytes(body)
    (tmp_path / "disk" / "i00.png").write_bytes(b"another file of that name")
    env = {"PYTHONPATH": str(site)}
    done = isocortex("fetch", "-b", "Remote.*", "--from", str(tmp_path / "disk"), env=env)
    assert done.returncode == 0, done.stderr
    assert handler.requests == []
    (deep / "i05.png").unlink()
    env["ISOCORTEX_DATA"] = str(tmp_path / "new")
    done = isocortex("fetch", "-b", "Remote.*", "--from", str(tmp_path / "disk"), env=env)
    assert done.returncode == 1
    assert "lacks 1 of the 20 files of remote-images" in done.stderr
    assert "i05.png" in done.stderr
