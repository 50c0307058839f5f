"""What a ``.nemo`` file can hold against its reader: foreign classes, members outside, cut ends, weights that are code.

NeMo is never imported here: everything is refused before.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from isocortex.catalogue.cards import Variant
from isocortex.errors import DataError, IsocortexError, PluginError
from isocortex.loading.resolver import resolver
from isocortex_nemo.archives import MAX_CONFIG_BYTES, facts_of, read_config, unpacked
from isocortex_nemo.targets import refuse_foreign, refuse_unknown

CTC = {
    "target": "nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE",
    "sample_rate": 16000,
    "preprocessor": {"_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor", "features": 80},
    "encoder": {"_target_": "nemo.collections.asr.modules.ConformerEncoder", "n_layers": 24, "d_model": 1024},
    "decoder": {"_target_": "nemo.collections.asr.modules.ConvASRDecoder", "num_classes": 1024},
}


@pytest.fixture(autouse=True)
def at_once_and_without_nemo() -> Iterator[None]:
    """Within two seconds, and nothing of NeMo is imported that was not."""
    before, began = "nemo.collections" in sys.modules, time.process_time()
    yield
    assert time.process_time() - began < 2
    assert ("nemo.collections" in sys.modules) == before


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """Packs a ``.nemo`` file of members."""

    def make(config: Any = CTC, weights: bytes = b"", members: dict[str, bytes] | None = None, mode: str = "w") -> Path:
        text = config if isinstance(config, bytes) else yaml.safe_dump(config).encode()
        path = tmp_path / "checkpoint.nemo"
        with tarfile.open(path, mode) as archive:  # pyright: ignore[reportCallIssue]
            for name, content in {
                "./model_config.yaml": text, "./model_weights.ckpt": weights, **(members or {}),
            }.items():  # fmt: skip
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return path

    return make


def load(path: Path) -> Any:
    """As a user does."""
    return resolver(offline=True).model(f"nemo:{path}").load(Variant.parse("pretrained"), device="cpu")


# --- what a configuration names


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("os.system", "encoder._target_"),
        ("builtins.eval", "encoder._target_"),
        ("subprocess.Popen", "loss.list[1].inner[0]._target_"),
        ("lightning.pytorch.Trainer", "encoder._target_"),
        ("nemo.utils.get_rank.is_global_rank_zero", "encoder._target_"),
        ("nemo.collections.asr.parts.utils.manifest_utils.read_manifest", "encoder._target_"),
        ("nemo.collections.nlp.modules.Evil", "encoder._target_"),
        ("nemo.collections.asr.modulesX.Evil", "encoder._target_"),
        ("torch.hub.load", "encoder._target_"),
        ("torch.nn.functional.os.system", "encoder._target_"),
        ("torch.nn.Module.x", "encoder._target_"),
        ("omegaconf.OmegaConf", "encoder._target_"),
        ("${oc.env:HOME}", "encoder._target_"),
        ("${decoder._target_}", "encoder._target_"),
        ("", "encoder._target_"),
        ("os.system", "target"),
        ("os.system", "decoder.cls"),
    ],
)
def test_a_class_that_is_not_nemos_own_is_refused_by_name(pack: Any, target: str, place: str) -> None:
    config: dict[str, Any] = yaml.safe_load(yaml.safe_dump(CTC))
    if place == "target":
        config["target"] = target
    elif place.startswith("loss"):
        config["loss"] = {"list": [1, {"inner": [{"_target_": target}]}]}
    else:
        part, _, key = place.partition(".")
        config[part][key] = target
    with pytest.raises(DataError) as caught:
        load(pack(config))
    assert f"{target!r} at {place}" in str(caught.value)
    assert "Nothing of it was built or run" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [["os.system"], {"a": 1}, 3, None])
def test_a_target_that_is_no_text_is_refused(pack: Any, value: Any) -> None:
    with pytest.raises(DataError, match="which is no class of NeMo's"):
        load(pack({**CTC, "encoder": {"_target_": value}}))


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "a ${oc.decode:x} b", "${x.${oc.env:HOME}}", "${eval:'1'}"])
def test_values_that_are_computed_are_refused(pack: Any, value: str) -> None:
    with pytest.raises(DataError, match=r"asks for a computed value, .* at encoder\.name"):
        load(pack({**CTC, "encoder": {"name": [value]} if "x" in value else {"name": value}}))


def test_what_configurations_of_checkpoints_name_is_allowed() -> None:
    refuse_foreign({**CTC, "a": {"_target_": "torch.nn.ReLU"}, "b": "${encoder.d_model}"}, "x")
    refuse_foreign({"a": [{"_target_": "omegaconf.dictconfig.DictConfig"}, {"target": "a word"}]}, "x")


def test_names_are_followed_through_nemos_source_and_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A NeMo of a few lines, on a path where it is found; it raises where it is imported."""
    modules = tmp_path / "nemo" / "collections" / "asr" / "modules"
    (modules / "deep").mkdir(parents=True)
    for folder in (modules, *list(modules.parents)[:3]):
        (folder / "__init__.py").write_text("raise SystemExit('was imported')")
    (modules / "__init__.py").write_text(
        "from nemo.collections.asr.modules.a import Encoder as Encoder, Renamed as Other\nimport os\nraise SystemExit"
    )
    (modules / "a.py").write_text(
        "import os\nimport subprocess\nfrom os import system\nfrom subprocess import Popen\n"
        "class Encoder: ...\nclass Renamed: ...\ndef helper(): ...\ndef get_nemo_transformer(): ...\n"
        "Alias = os.system\n"
    )
    from isocortex_nemo import targets

    monkeypatch.setattr(
        targets, "find_spec", lambda _: type("S", (), {"submodule_search_locations": [str(tmp_path / "nemo")]})
    )
    targets._is_defined.cache_clear()
    targets._source.cache_clear()
    base = "nemo.collections.asr.modules"
    for good in ("Encoder", "Other", "a.Encoder", "a.get_nemo_transformer"):
        refuse_unknown({"x": [{"_target_": f"{base}.{good}"}]}, "f.nemo", "9.9")
    for bad in (
        "Renamed",
        "os.system",
        "a.os.system",
        "a.system",
        "a.Popen",
        "a.subprocess.Popen",
        "a.helper",
        "a.Alias",
        "b.C",
    ):
        with pytest.raises(PluginError, match=r"at x\[0\]\._target_; nemo_toolkit 9\.9 defines no such class"):
            refuse_unknown({"x": [{"_target_": f"{base}.{bad}"}]}, "f.nemo", "9.9")
    with pytest.raises(PluginError, match=r"removed in NeMo 3: pip install 'nemo_toolkit\[asr\]>=2\.7\.3,<3'"):
        refuse_unknown({"x": {"_target_": f"{base}.SqueezeformerEncoder"}}, "f.nemo", "3.0.0")
    targets._is_defined.cache_clear()
    targets._source.cache_clear()


# --- the archive


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/outside", "..\\outside", "C:outside"])
def test_members_outside_the_folder_are_refused(pack: Any, name: str, tmp_path: Path) -> None:
    path = pack(members={name: b"x"})
    with pytest.raises(DataError, match=r"which lies outside its folder\. Nothing was unpacked"):
        load(path)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(pack: Any, kind: bytes, tmp_path: Path) -> None:
    path = pack()
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("model_link")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(DataError, match="'model_link', which is a link or a device"):
        load(path)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("left", [0.0, 0.1, 0.5, 0.9])
def test_a_file_that_is_cut_short_is_named(pack: Any, mode: str, left: float) -> None:
    path = pack(weights=os.urandom(300_000), mode=mode)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * left)])
    with pytest.raises(DataError, match=r"(is cut short|holds no model_).*Fetch it again"):
        load(path)


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.nemo"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match=r"is cut short or no \.nemo file"):
        load(path)


def test_an_archive_that_unpacks_to_far_more_than_it_is_is_refused(pack: Any) -> None:
    path = pack(members={"zeros": bytes(200 << 20)}, mode="w:gz")
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DataError, match="it was made to fill a disk"):
        load(path)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (b"[1, 2]", "is a list; expected a mapping"),
        (b"a: [", "cannot be read"),
        (b"a: !!python/object/apply:os.system ['true']", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"a: &a [*a]", "contains itself"),
        (b"a: &a [1,1,1,1,1,1,1,1,1]\n" + b"".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n".encode() for n in range(9)
        ), "holds more than 500000 values"),
        (b"a: " + b"[" * 5000, "cannot be read"),
        (b"a: '" + b"x" * MAX_CONFIG_BYTES + b"'", "none is so large"),
    ],
    ids=["list", "open", "tag", "no text", "knot", "laughs", "deep", "large"],
)  # fmt: skip
def test_a_configuration_that_is_none_is_named(pack: Any, config: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(pack(config))


def test_numbers_of_a_configuration_are_those_of_omegaconf(pack: Any) -> None:
    text = yaml.safe_dump(CTC) + "a: 1e-5\nb: 2.5\nc: 1_000\nd: .5\ne: 2020-01-01\nf: '1e-5'\ng: -.inf\nh: 1.8.0\n"
    path = pack(text.encode())
    with unpacked(path) as folder:
        read = read_config(folder, path)
    assert [read[name] for name in "abcdefgh"] == [1e-5, 2.5, 1000, 0.5, "2020-01-01", "1e-5", float("-inf"), "1.8.0"]


# --- another checkpoint than the one that is meant


@pytest.mark.parametrize(
    ("identity", "change", "words"),
    [
        ("nvidia/parakeet-ctc-0.6b", {"encoder": {"n_layers": 42}}, "layers of the encoder 42, expected 24"),
        ("nvidia/parakeet-ctc-0.6b", {"encoder": {"d_model": 512}}, "width of the encoder 512, expected 1024"),
        ("nvidia/parakeet-ctc-0.6b", {"preprocessor": {"features": 128}}, "mel bands 128, expected 80"),
        ("nvidia/parakeet-ctc-0.6b", {"decoder": {"num_classes": 128}}, "outputs 129, expected 1025"),
        ("nvidia/parakeet-ctc-1.1b", {}, "layers of the encoder 24, expected 42"),
        ("nvidia/parakeet-rnnt-0.6b", {}, "class EncDecCTCModelBPE, expected EncDecRNNTBPEModel"),
        ("nvidia/parakeet-tdt-1.1b", {"joint": {"num_classes": 1024, "num_extra_outputs": 4}}, "1029, expected 1030"),
        ("nvidia/canary-1b", {"head": {"num_classes": 4096}}, "outputs 4096, expected 4128"),
        ("nvidia/canary-1b", {}, "mel bands 80, expected 128"),
        ("nvidia/stt_en_citrinet_256_ls", {"sample_rate": 8000}, "hears 8000 Hz; networks of 16000 Hz alone"),
    ],
)  # fmt: skip
def test_another_checkpoint_than_the_rows_is_refused(
    pack: Any, identity: str, change: dict[str, Any], words: str
) -> None:
    path = pack({**CTC, **change})
    with pytest.raises(DataError) as caught:
        resolver(offline=True).model(identity).load(Variant.parse(f"file:{path}"), device="cpu")
    assert words in str(caught.value)


def test_the_checkpoint_that_is_meant_passes(pack: Any) -> None:
    """Up to where NeMo would be needed."""
    path = pack()
    plugin: Any = resolver(offline=True).model("nvidia/parakeet-ctc-0.6b")
    with unpacked(path) as folder:
        config = read_config(folder, path)
    assert facts_of(config) == {
        "class": "EncDecCTCModelBPE", "layers": 24, "width": 1024, "mel_bands": 80, "vocabulary": 1025,
    }  # fmt: skip
    plugin.refuse_other_checkpoint(config, path)
    listed: Any = resolver(offline=True).model("nvidia/parakeet-tdt_ctc-110m")
    for name in ("EncDecHybridRNNTCTCModel", "EncDecHybridRNNTCTCBPEModel"):
        listed.refuse_other_checkpoint({**config, "target": f"nemo.collections.asr.models.x.{name}"}, path)


# --- weights


class Evil:
    """Runs code where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", ["pickle", "torch", "old torch"])
def test_weights_that_are_code_are_not_run(pack: Any, tmp_path: Path, form: str) -> None:
    torch = pytest.importorskip("torch")
    from isocortex_nemo.models import read_weights

    mark, held = tmp_path / "was-run", io.BytesIO()
    if form == "pickle":
        pickle.dump({"a": Evil(mark)}, held)
    else:
        torch.save({"a": Evil(mark)}, held, _use_new_zipfile_serialization=form == "torch")
    path = pack(weights=held.getvalue())
    with unpacked(path) as folder, pytest.raises(DataError, match="would run code of unknown origin"):
        read_weights(folder, path)
    assert not mark.exists()


def test_an_error_is_one_line_on_the_command_line(pack: Any, isocortex: Any) -> None:
    path = pack({**CTC, "encoder": {"_target_": "os.system"}})
    done = isocortex("extract", "-m", f"nemo:{path}", "--stimuli", "nowhere")
    assert done.returncode != 0
    done = isocortex("fetch", "-m", f"nemo:{path}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "names 'os.system' at encoder._target_" in done.stderr


def test_every_refusal_is_an_error_of_ours() -> None:
    assert issubclass(DataError, IsocortexError)
