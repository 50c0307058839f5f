"""Where a checkpoint is looked for, how it gets here, and what is said where it does not; NeMo is not needed."""

from __future__ import annotations

import hashlib
import http.server
import io
import shutil
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from isocortex.catalogue.cards import Variant
from isocortex.errors import FilesError, PluginError
from isocortex.loading.resolver import resolver
from isocortex_nemo import places

PRETRAINED = Variant.parse("pretrained")
#: a recogniser of the hub, and one of NVIDIA's own catalogue
HUB, NGC = "parakeet-ctc-0.6b", "stt_en_quartznet15x5"


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of this test alone, and an address where nobody answers."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NEMO_CACHE_DIR", str(tmp_path / "nemo"))
    monkeypatch.setattr(places, "hub_address", lambda: "http://127.0.0.1:9")
    monkeypatch.setattr(places, "NGC", "http://127.0.0.1:9/v2/models")
    return tmp_path


def packed(name: str = HUB) -> bytes:
    """A ``.nemo`` file that says of itself what the row expects."""
    if name == HUB:
        config: dict[str, Any] = {
            "target": "nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE",
            "encoder": {"n_layers": 24, "d_model": 1024},
        }
    else:
        config = {"target": "nemo.collections.asr.models.ctc_models.EncDecCTCModel", "encoder": {"jasper": [{}]}}
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for member, content in (("model_config.yaml", yaml.safe_dump(config).encode()), ("model_weights.ckpt", b"x")):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return held.getvalue()


def put(path: Path, name: str = HUB) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed(name))
    return path


def plugin_of(name: str, *, offline: bool = True) -> Any:
    return resolver(offline=offline).model(name)


def into_hub_cache(cache: Path, name: str) -> Path:
    base = cache / f"models--nvidia--{name}"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text("a" * 40)
    return put(base / "snapshots" / ("a" * 40) / f"{name}.nemo", name)


@pytest.mark.parametrize("spelling", [NGC, f"nvidia/{NGC}"])
def test_places_come_one_after_the_other(empty_caches: Path, own_folders: Path, spelling: str) -> None:
    plugin = plugin_of(spelling)
    digest = hashlib.md5(b"address and description").hexdigest()
    found = []
    own = own_folders / "data" / "isocortex-nemo"
    for lay in (
        lambda: put(empty_caches / "nemo" / NGC / digest / f"{NGC}.nemo", NGC),
        lambda: into_hub_cache(empty_caches / "hub", NGC),
        lambda: put(own / f"{NGC}.nemo", NGC),
        lambda: put(own / "nvidia" / NGC / f"{NGC}.nemo", NGC),
    ):
        lay()
        found.append(plugin.file_of(PRETRAINED))
    assert [path.parent.name for path in found] == [digest, "a" * 40, "isocortex-nemo", NGC]
    assert plugin.fetch(PRETRAINED) == [found[-1]]


def test_neither_spelling_nor_place_makes_another_digest(own_folders: Path, empty_caches: Path) -> None:
    into_hub_cache(empty_caches / "hub", HUB)
    first = {plugin_of(name).digest(PRETRAINED) for name in (HUB, f"nvidia/{HUB}")}
    put(own_folders / "data" / "isocortex-nemo" / "nvidia" / HUB / f"{HUB}.nemo")
    second = {plugin_of(name).digest(PRETRAINED) for name in (HUB, f"nvidia/{HUB}")}
    assert first == second
    assert len(first) == 1
    assert plugin_of(HUB).digest(Variant.parse("random:1")) not in first


@pytest.mark.parametrize("how", ["--offline", "HF_HUB_OFFLINE", "no network"])
@pytest.mark.parametrize("name", [HUB, NGC])
def test_an_absent_checkpoint_names_every_place_at_once(
    how: str, name: str, empty_caches: Path, own_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    if how == "HF_HUB_OFFLINE":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    plugin = plugin_of(name, offline=how == "--offline")
    for act in (plugin.digest, plugin.fetch, lambda variant: plugin.load(variant, device="cpu")):
        began = time.monotonic()
        with pytest.raises(FilesError) as caught:
            act(PRETRAINED)
        assert time.monotonic() - began < 2
        message = str(caught.value)
        for part in (
            f"The checkpoint of nvidia/{name}, {name}.nemo, is not here; ",
            "nemo_toolkit",
            str(own_folders / "data" / "isocortex-nemo" / "nvidia" / name / f"{name}.nemo"),
            str(empty_caches / "hub"),
            str(empty_caches / "nemo"),
            f"http://127.0.0.1:9/nvidia/{name}",
            f"isocortex fetch -m nvidia/{name}",
            f"nemo:{name}.nemo",
        ):
            assert part in message
        if name == NGC:
            address = f"http://127.0.0.1:9/v2/models/nvidia/nemo/{NGC}/versions/1.0.0rc1/files/{NGC}.nemo"
            assert address in message
        reason = {"--offline": "isocortex runs offline", "HF_HUB_OFFLINE": "HF_HUB_OFFLINE is set"}
        assert reason.get(how, "cannot be reached") in message
        assert "Traceback" not in message


def test_a_name_that_does_not_resolve_or_answer_takes_no_more_than_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def slowly(*arguments: Any, **options: Any) -> Any:
        time.sleep(3)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", slowly)
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"example\.org:443 cannot be reached \(no answer in 1 s\)"):
        places.refuse_unreachable("https://example.org/a")
    assert time.monotonic() - began < 1.5


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "no.nemo", Path("no/where/x.nemo")):
        with pytest.raises(FilesError, match=r"There is no \.nemo file at .*, which nemo:.* names"):
            plugin_of(f"nemo:{path}").load(PRETRAINED, device="cpu")
    with pytest.raises(FilesError, match=r"The checkpoint of nemo:someone/else, else\.nemo, is not here"):
        plugin_of("nemo:someone/else").load(PRETRAINED, device="cpu")


@pytest.mark.parametrize("place", ["", "deep/er", f"models--nvidia--{HUB}/snapshots/abc"])
def test_fetch_takes_a_folder_however_the_file_lies_in_it(tmp_path: Path, place: str, own_folders: Path) -> None:
    source = tmp_path / "source"
    put(source / place / f"{HUB}.nemo")
    put(source / "another.nemo")
    [path] = plugin_of(HUB).fetch(PRETRAINED, source)
    assert path == own_folders / "data" / "isocortex-nemo" / "nvidia" / HUB / f"{HUB}.nemo"
    assert path.read_bytes() == packed()
    shutil.rmtree(source)
    assert plugin_of(HUB).fetch(PRETRAINED) == [path]


def test_fetch_refuses_what_is_another_or_not_there(tmp_path: Path, own_folders: Path) -> None:
    plugin = plugin_of(HUB)
    with pytest.raises(FilesError, match="is not a folder"):
        plugin.fetch(PRETRAINED, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FilesError, match=rf"does not hold {HUB}\.nemo, at any depth"):
        plugin.fetch(PRETRAINED, tmp_path / "empty")
    put(tmp_path / "two" / "a" / f"{HUB}.nemo")
    put(tmp_path / "two" / "b" / f"{HUB}.nemo", NGC)
    with pytest.raises(FilesError, match="holds 2 different files called"):
        plugin.fetch(PRETRAINED, tmp_path / "two")
    put(tmp_path / "other" / f"{HUB}.nemo", NGC)
    with pytest.raises(FilesError, match=r"is not nvidia/parakeet-ctc-0\.6b: .*class EncDecCTCModel, expected"):
        plugin.fetch(PRETRAINED, tmp_path / "other")
    assert not list(own_folders.rglob("*.nemo")), "what is another is not taken"


# --- servers


class Server(http.server.BaseHTTPRequestHandler):
    """Answers with files; ``wrong`` bytes more or fewer than it announces."""

    files: dict[str, bytes]
    wrong: int

    def do_HEAD(self) -> None:
        """Say what is there."""
        self.answer()

    def do_GET(self) -> None:
        """Give what is there."""
        body = self.answer()
        if body is not None:
            self.wfile.write(body)

    def answer(self) -> bytes | None:
        body = self.files.get(self.path)
        self.send_response(404 if body is None else 200)
        if body is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        else:
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", "b" * 40)
        self.send_header("Content-Length", str(len(body or b"") + self.wrong))
        self.end_headers()
        return body

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    handler = type("Handler", (Server,), {"files": {}, "wrong": 0})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{opened.server_port}"
        monkeypatch.setattr(places, "hub_address", lambda: address)
        monkeypatch.setattr(places, "NGC", f"{address}/ngc")
        yield handler
        opened.shutdown()


NGC_PATH = f"/ngc/nvidia/nemo/{NGC}/versions/1.0.0rc1/files/{NGC}.nemo"


def test_a_checkpoint_comes_from_the_hub_or_else_from_nvidias_catalogue(server: Any, own_folders: Path) -> None:
    server.files[f"/nvidia/{HUB}/resolve/main/{HUB}.nemo"] = packed()
    server.files[NGC_PATH] = packed(NGC)
    for name in (HUB, NGC):
        [path] = plugin_of(name, offline=False).fetch(PRETRAINED)
        assert path == own_folders / "data" / "isocortex-nemo" / "nvidia" / name / f"{name}.nemo"
        assert path.read_bytes() == packed(name)
        assert plugin_of(name).file_of(PRETRAINED) == path, "offline from then on"


def test_a_server_that_sends_fewer_bytes_than_it_announces_is_refused(server: Any, own_folders: Path) -> None:
    server.files[NGC_PATH], server.wrong = packed(NGC), 1
    with pytest.raises(FilesError, match=r"(bytes came of|more than the announced|IncompleteRead)"):
        plugin_of(NGC, offline=False).fetch(PRETRAINED)
    assert not list((own_folders / "data").rglob("*.nemo"))


# --- versions of NeMo


@pytest.fixture
def version_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata of another version before what is installed."""
    site = tmp_path / "site" / "nemo_toolkit-3.0.0.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: nemo_toolkit\nVersion: 3.0.0\n")
    monkeypatch.syspath_prepend(str(site.parent))


def test_a_squeezeformer_says_which_version_it_needs_before_anything_is_loaded(version_3: None) -> None:
    import sys

    before = "nemo.collections" in sys.modules
    name = "stt_en_squeezeformer_ctc_small_ls"
    with pytest.raises(PluginError) as caught:
        plugin_of(name).load(PRETRAINED, device="cpu")
    for part in (f"nvidia/{name} needs nemo_toolkit[asr]", "<3", "nemo_toolkit 3.0.0 is installed", "pip install"):
        assert part in str(caught.value)
    assert ("nemo.collections" in sys.modules) == before
    with pytest.raises(FilesError, match=r"nemo_toolkit 3\.0\.0 is installed and can load it"):
        plugin_of(HUB).load(PRETRAINED, device="cpu")


def test_info_says_what_is_installed_and_whether_it_can_load_a_row(version_3: None, isocortex: Any) -> None:
    done = isocortex("info", "stt_en_squeezeformer_ctc_small_ls")
    assert "nemo_toolkit 3.0.0 is installed and cannot load it (needs <3,>=2.7.3)" in done.stdout
    assert "nemo_toolkit 3.0.0 is installed and can load it" in isocortex("info", HUB).stdout
