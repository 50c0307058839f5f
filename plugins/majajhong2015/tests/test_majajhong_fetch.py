"""``isocortex fetch`` of the published files from a server on this machine: checksums, what is there, and refusals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from isocortex.files import FileSpec, data_folder, read_specs
from plugins.majajhong2015.tests.conftest import Listed
from plugins.majajhong2015.tests.published_layouts import write_majajhong
from tests.command_line import run_in_process

LISTS = Path(__file__).parents[1] / "src" / "isocortex_majajhong2015"
BENCHMARK = "MajajHong2015public.IT-pls"


class Offering(SimpleHTTPRequestHandler):
    """Offers a folder, or answers by a status."""

    asked: list[str]
    status: dict[str, int]

    def do_GET(self) -> None:
        """Note what was asked for."""
        self.asked.append(self.path)
        if self.path in self.status:
            self.send_error(self.status[self.path])
        else:
            super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def offered(tmp_path: Path, listed: Listed, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, type[Offering]]]:
    """A folder of files that a server on this machine offers, and what the server was asked for."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("time.sleep", [].append)  # nobody waits between attempts
    folder = tmp_path / "published"
    write_majajhong(folder, n_images=12)
    handler = type("Handler", (Offering,), {"asked": [], "status": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    listed(folder, f"http://127.0.0.1:{server.server_port}")
    yield folder, handler
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(tmp_path: Path, *arguments: str):
    """``isocortex fetch``."""
    return run_in_process(("fetch", "-b", BENCHMARK, *arguments), tmp_path, {})


def test_what_is_missing_is_downloaded_once(offered, tmp_path: Path) -> None:
    folder, handler = offered
    done = fetch(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Only a SHA-1 is published for" in done.stderr
    assert sorted(handler.asked) == sorted(f"/{path.name}" for path in folder.iterdir())
    for path in folder.iterdir():
        assert (data_folder() / "isocortex-majajhong2015" / path.name).read_bytes() == path.read_bytes()
    handler.asked.clear()
    assert fetch(tmp_path).returncode == 0
    assert fetch(tmp_path, "--verify").returncode == 0
    assert handler.asked == [], "what is whole is not fetched again"
    (data_folder() / "isocortex-majajhong2015" / "stimulus_hvm-public.csv").unlink()
    assert fetch(tmp_path).returncode == 0
    assert handler.asked == ["/stimulus_hvm-public.csv"]


def test_a_file_of_another_checksum_is_tried_again_and_not_kept(offered, tmp_path: Path) -> None:
    folder, handler = offered
    path = folder / "stimulus_hvm-public.csv"
    path.write_bytes(path.read_bytes().replace(b"bear", b"boar"))
    done = fetch(tmp_path)
    assert done.returncode == 1
    assert "in 3 attempts: the file has another checksum than expected. Nothing of it was kept" in done.stderr
    assert handler.asked.count("/stimulus_hvm-public.csv") == 3
    assert not (data_folder() / "isocortex-majajhong2015" / path.name).exists()


@pytest.mark.parametrize("status", [403, 404, 429])
def test_a_refusal_is_told_at_once_in_one_line(offered, tmp_path: Path, status: int) -> None:
    _, handler = offered
    name = "/assy_dicarlo_MajajHong2015_public.nc"
    handler.status[name] = status
    done = fetch(tmp_path)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert f"{name} could not be downloaded in 1 attempt: the server answered {status}" in line
    assert "fetch --from FOLDER" in line
    assert handler.asked.count(name) == 1


def test_the_lists_name_the_published_files() -> None:
    """Bucket, key and checksum as the publisher's own registry has them."""
    place = "https://brainscore-storage.s3.amazonaws.com/brainio-brainscore/"
    expected = {
        "hvm-public.csv": {
            "stimulus_hvm-public.csv": "5ca7a3da00d8e9c694a9cd725df5ba0ad6d735af",
            "stimulus_hvm-public.zip": "8aa44e038d7b551efa8077467622f9d48d72e473",
        },
        "MajajHong2015public.csv": {"assy_dicarlo_MajajHong2015_public.nc": "13d28ca0ce88ee550b54db3004374ae19096e9b9"},
        "MajajHong2015public.temporal.csv": {
            "assy_dicarlo_MajajHong2015_temporal_public.nc": "093ac35b3e8464c676d24cf38238415d4d6a9448"
        },
        "objectome-public.csv": {
            "stimulus_objectome_public.csv": "47884e17106a3be471d6481279cab33889b80850",
            "stimulus_objectome_public.zip": "064f2955f98e63867755fee2e3ead8cddf6bfab8",
        },
        "Rajalingham2018public.csv": {
            "assy_dicarlo_Rajalingham2018_public.nc": "34c6a8b6f7c523589c1861e4123232e5f7c7df4c"
        },
    }
    for listing, files in expected.items():
        specs = [FileSpec(n, place + n, None, None, n.endswith(".zip"), sha1) for n, sha1 in files.items()]
        assert read_specs(LISTS, listing) == specs


def test_private_data_are_named_when_they_are_asked_for(tmp_path: Path) -> None:
    for name, public in (("MajajHong2015.IT-pls", "MajajHong2015public.IT-pls"), ("Rajalingham2018-i2n", "public.i2n")):
        done = run_in_process(("score", "-m", "pixels", "-b", name), tmp_path, {})
        assert done.returncode == 2
        assert "private" in done.stderr
        assert public in done.stderr
