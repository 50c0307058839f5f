"""Checkpoints: heads, names and configurations of files, where they are looked for, and how they get here."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_wav2vec2")

from safetensors.torch import load_file, save_file  # noqa: E402

from isocortex.catalogue.cards import Variant  # noqa: E402
from isocortex.data.stimuli import StimulusSet  # noqa: E402
from isocortex.errors import DataError, FilesError  # noqa: E402
from isocortex.extraction.extractor import activations_in_memory  # noqa: E402
from isocortex.loading.by_name import load_model  # noqa: E402
from isocortex.loading.resolver import resolver  # noqa: E402
from isocortex.models.checkpoints import tensor_shapes  # noqa: E402
from isocortex_wav2vec2.families import family_named, import_transformers  # noqa: E402

pytestmark = pytest.mark.xdist_group("wav2vec2")

Make = Callable[[str], Any]
PRETRAINED = Variant.parse("pretrained")
#: a small network → the class with heads that its checkpoints are of, and what that takes besides
HEADS = {
    "wav2vec2": ("Wav2Vec2ForPreTraining", {
        "num_codevectors_per_group": 4, "codevector_dim": 4, "proj_codevector_dim": 4,
    }),
    "wav2vec2-stable": ("Wav2Vec2ForCTC", {"vocab_size": 7}),
    "conformer-rotary": ("Wav2Vec2ConformerForCTC", {"vocab_size": 7}),
    "conformer-relative": ("Wav2Vec2ConformerForCTC", {"vocab_size": 7}),
    "hubert": ("HubertForCTC", {"vocab_size": 7}),
    "wavlm": ("WavLMModel", {}),
    "whisper": ("WhisperForConditionalGeneration", {
        "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8, "vocab_size": 9, "pad_token_id": 1,
        "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1, "max_target_positions": 8,
    }),
    "spectrogram": ("ASTForAudioClassification", {}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub of this test alone."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


def trained(plugin: Any, name: str, seed: int = 5) -> Any:
    """A model of transformers with heads, its tensors away from what a constructor gives."""
    architecture = plugin.architecture()
    family = family_named(architecture.family)
    kind, more = HEADS[name]
    networks = import_transformers(f"models.{family.module}.modeling_{family.module}")
    configurations = import_transformers(f"models.{family.module}.configuration_{family.module}")
    torch.manual_seed(seed)
    model = getattr(networks, kind)(getattr(configurations, family.config)(**{**architecture.config, **more}))
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def encoder_of(model: Any, name: str) -> Any:
    """The part of a model that hears."""
    for part in ("wav2vec2_conformer", "wav2vec2", "hubert"):
        if hasattr(model, part):
            return getattr(model, part)
    return model.model.encoder if name == "whisper" else model


def time_means(plugin: Any, variant: str, stimuli: StimulusSet) -> dict[str, np.ndarray]:
    with plugin.load(Variant.parse(variant), device="cpu") as model:
        found = activations_in_memory(model, stimuli, model.layers, reduction="time-mean")
    return {layer: activations.array() for layer, activations in found.items()}


# --- what is in a file


@pytest.mark.parametrize("name", list(HEADS))
def test_a_checkpoint_with_heads_is_the_encoder_that_was_saved(tiny: Make, save: Any, sounds: Any, name: str) -> None:
    plugin = tiny(name)
    model = trained(plugin, name)
    folder = save(model, dict(plugin.architecture().features))
    expected = encoder_of(model, name).state_dict()
    with plugin.load(Variant.parse(f"file:{folder}"), device="cpu") as loaded:
        state = loaded.module.state_dict()
        assert set(state) == set(expected)
        assert all(torch.equal(state[key], expected[key]) for key in expected)


def test_torch_files_older_names_and_absent_mask_embeddings_give_the_same(tiny: Make, save: Any, sounds: Any) -> None:
    plugin, stimuli = tiny("wav2vec2"), sounds(0.5)
    folder = save(trained(plugin, "wav2vec2"))
    expected = time_means(plugin, f"file:{folder}", stimuli)
    state = load_file(folder / "model.safetensors")
    old = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in state.items()
        if not name.endswith("masked_spec_embed")
    }
    new = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): tensor
        for name, tensor in old.items()
    }
    bare = {name.removeprefix("wav2vec2."): tensor for name, tensor in old.items() if name.startswith("wav2vec2.")}
    assert len({*old, *new}) == len(old) + 2
    for number, written in enumerate((old, new, bare)):
        path = folder / f"other{number}"
        path.mkdir()
        shutil.copy(folder / "config.json", path)
        torch.save(written, path / "pytorch_model.bin")
        for layer, values in time_means(plugin, f"file:{path}", stimuli).items():
            np.testing.assert_array_equal(values, expected[layer])
    # the row's own architecture counts for a file of weights alone
    alone = folder / "alone" / "weights.safetensors"
    alone.parent.mkdir()
    save_file(bare, alone)
    for layer, values in time_means(plugin, f"file:{alone}", stimuli).items():
        np.testing.assert_array_equal(values, expected[layer])


def test_whispers_positions_are_sinusoids_whether_a_checkpoint_holds_them_or_not(
    tiny: Make, save: Any, sounds: Any
) -> None:
    plugin, stimuli = tiny("whisper"), sounds(0.5)
    folder = save(trained(plugin, "whisper"))
    state = load_file(folder / "model.safetensors")
    [(name, positions)] = [item for item in state.items() if item[0].endswith("encoder.embed_positions.weight")]
    n_steps, width = positions.shape
    angles = np.arange(n_steps)[:, None] * 10_000.0 ** (-np.arange(width // 2) / (width // 2 - 1))
    state[name] = torch.from_numpy(np.hstack([np.sin(angles), np.cos(angles)])).float()
    found: list[dict[str, np.ndarray]] = []
    for number, left_out in enumerate(("", name)):
        path = folder / f"other{number}" / "weights.safetensors"
        path.parent.mkdir()
        save_file({key: tensor for key, tensor in state.items() if key != left_out}, path)
        found.append(time_means(plugin, f"file:{path}", stimuli))
    for layer, values in found[1].items():
        np.testing.assert_allclose(values, found[0][layer], rtol=0, atol=1e-5)


def test_the_configuration_of_a_checkpoint_counts(tiny: Make, save: Any, sounds: Any) -> None:
    """The same class with other sizes, another activation and no normalisation of its input."""
    plugin, stimuli = tiny("hubert"), sounds(0.5)
    architecture = plugin.architecture()
    networks = import_transformers("models.hubert.modeling_hubert")
    configurations = import_transformers("models.hubert.configuration_hubert")
    config = {**architecture.config, "num_hidden_layers": 1, "hidden_size": 8, "hidden_act": "relu"}
    model = networks.HubertModel(configurations.HubertConfig(**config)).eval()
    folder = save(model, {"do_normalize": False, "sampling_rate": 16000, "feature_size": 1})
    found = time_means(plugin, f"file:{folder}", stimuli)
    with torch.no_grad():
        expected = model(torch.from_numpy(stimuli.load(0).array)[None])[0].mean(1).numpy()
    assert "encoder.layers.1" not in found
    np.testing.assert_allclose(found["encoder.layers.0"], expected, atol=5e-6)


def test_nothing_in_a_configuration_runs_code_or_is_downloaded(tiny: Make, save: Any, sounds: Any) -> None:
    plugin = tiny("wav2vec2")
    folder = save(trained(plugin, "wav2vec2"))
    expected = time_means(plugin, f"file:{folder}", sounds(0.5))
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Model"}
    config["attn_implementation"] = config["_attn_implementation"] = "evil/kernel"
    config["quantization_config"] = {"quant_method": "evil"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text("raise SystemExit('was run')")
    for layer, values in time_means(plugin, f"file:{folder}", sounds(0.5)).items():
        np.testing.assert_array_equal(values, expected[layer])


def without(state: dict[str, Any], part: str) -> dict[str, Any]:
    return {name: tensor for name, tensor in state.items() if part not in name}


def cut(state: dict[str, Any], part: str) -> dict[str, Any]:
    return {name: tensor[:-1].clone() if part in name else tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: without(state, "encoder.layers.2.final"), r"2 missing \(encoder\.layers\.2\.final_layer_norm"),
        (lambda state: {**state, "wav2vec2.adapter.proj.bias": torch.zeros(2)}, r"1 not known \(adapter\.proj\.bias"),
        (lambda state: cut(state, "feature_projection.projection.bias"), r"1 of another shape \(feature_projection"),
        (lambda _: {"lm_head.bias": torch.zeros(2)}, r"missing .*1 not known \(lm_head\.bias"),
        (
            lambda state: {**state, "wav2vec2.encoder.pos_conv_embed.conv.weight_g": torch.zeros(2),
                           "wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original0": torch.zeros(2)},
            "1 tensors of the checkpoint stand for the same part",
        ),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_told_apart(tiny: Make, save: Any, change: Any, words: str) -> None:
    plugin = tiny("wav2vec2")
    folder = save(trained(plugin, "wav2vec2"))
    state = load_file(folder / "model.safetensors")
    save_file(change(state), folder / "model.safetensors")
    with pytest.raises(DataError, match=words):
        plugin.load(Variant.parse(f"file:{folder}"), device="cpu")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.json", b"{", "cannot be read as JSON"),
        ("config.json", b"[1]", "holds list; expected a JSON object"),
        ("config.json", b"\xff\xfe\x00", "cannot be read as JSON"),
        ("config.json", b'{"model_type": "hubert"}', "'hubert' network; expected 'wav2vec2'"),
        ("config.json", b'{"hidden_size": "large"}', "hidden_size is 'large'; expected something like 16"),
        ("config.json", b'{"conv_dim": [8, "x"]}', "conv_dim is"),
        ("config.json", b'{"hidden_size": 15}', "makes no Wav2Vec2Model"),
        ("config.json", b'{"hidden_act": "evil"}', "makes no Wav2Vec2Model"),
        ("config.json", b'{"feat_extract_norm": "none"}', "makes no Wav2Vec2Model"),
        ("preprocessor_config.json", b'{"do_normalize": 3}', "do_normalize is 3"),
        ("model.safetensors", b"", "is no safetensors file"),
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1", "is no safetensors file"),
    ],
)
def test_damaged_files_are_named(tiny: Make, save: Any, name: str, content: bytes, words: str) -> None:
    plugin = tiny("wav2vec2")
    folder = save(trained(plugin, "wav2vec2"), {"do_normalize": True})
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        plugin.load(Variant.parse(f"file:{folder}"), device="cpu")


def test_a_pickle_is_not_run(tiny: Make, save: Any, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "was-run"),)

    plugin = tiny("wav2vec2")
    folder = save(trained(plugin, "wav2vec2"), safe=False)
    torch.save({"wav2vec2.x": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(DataError, match="reading it would run code"):
        plugin.load(Variant.parse(f"file:{folder}"), device="cpu")
    assert not (tmp_path / "was-run").exists()


def test_a_folder_with_several_files_of_weights_says_so(tiny: Make, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(FilesError, match=r"several files; save them again in one"):
        tiny("whisper").load(Variant.parse(f"file:{tmp_path}"), device="cpu")


# --- where it is looked for


def into_cache(folder: Path, cache: Path, repository: str) -> Path:
    """Lay a checkpoint into the hub's cache as its client does."""
    base = cache / f"models--{repository.replace('/', '--')}"
    snapshot = base / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(folder, snapshot)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text("a" * 40)
    return snapshot


def test_the_data_folder_comes_before_the_cache_of_the_hub(
    tiny: Make, save: Any, sounds: Any, empty_hub: Path, own_folders: Path
) -> None:
    plugin, stimuli = tiny("hubert"), sounds(0.5)
    plugin.offline = True
    first, second = (save(trained(plugin, "hubert", seed), name=f"seed{seed}") for seed in (1, 2))
    with pytest.raises(FilesError, match="are not here"):
        plugin.digest(PRETRAINED)
    snapshot = into_cache(first, empty_hub, "tiny/hubert")
    assert {path.parent for path in plugin.fetch(PRETRAINED)} == {snapshot}
    in_cache, digest = time_means(plugin, "pretrained", stimuli), plugin.digest(PRETRAINED)
    fetched = plugin.fetch(PRETRAINED, second)
    own = own_folders / "data" / "isocortex-wav2vec2" / "tiny" / "hubert"
    assert list(fetched) == [own / "config.json", own / "model.safetensors"]
    in_data = time_means(plugin, "pretrained", stimuli)
    assert plugin.digest(PRETRAINED) not in (digest, None)
    for layer, values in in_data.items():
        np.testing.assert_array_equal(values, time_means(plugin, f"file:{second}", stimuli)[layer])
    assert np.abs(in_data["encoder.layers.2"] - in_cache["encoder.layers.2"]).max() > 1e-3


def test_absent_weights_name_every_place_and_what_to_do(tiny: Make, empty_hub: Path, own_folders: Path) -> None:
    plugin = tiny("whisper")
    plugin.offline = True
    for act in (plugin.digest, plugin.fetch, lambda variant: plugin.load(variant, device="cpu")):
        with pytest.raises(FilesError) as caught:
            act(Variant.parse("permuted:1"))
        message = str(caught.value)
        for part in (
            str(own_folders / "data" / "isocortex-wav2vec2" / "tiny" / "whisper"),
            str(empty_hub),
            "config.json, preprocessor_config.json and model.safetensors or pytorch_model.bin",
            "/tiny/whisper: not asked, because isocortex runs offline",
            "isocortex fetch -m tiny/whisper",
            "tiny/whisper@file:FOLDER",
            "tiny/whisper@random:0",
        ):
            assert part in message
    assert plugin.fetch(Variant.parse("random:0")) == []
    with pytest.raises(FilesError, match="There are no weights at"):
        plugin.fetch(Variant.parse(f"file:{own_folders / 'nowhere'}"))
    assert plugin.digest(Variant.parse("random:0")) != plugin.digest(Variant.parse("random:1"))


def test_the_hubs_own_variable_for_offline_counts(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FilesError, match="not asked, because HF_HUB_OFFLINE is set"):
        tiny("whisper").load(PRETRAINED, device="cpu")


@pytest.mark.parametrize("place", ["", "tiny/wavlm", "deep/wavlm", "models--tiny--wavlm/snapshots/abc"])
def test_fetch_takes_a_folder_however_it_lies_there(tiny: Make, save: Any, tmp_path: Path, place: str) -> None:
    plugin = tiny("wavlm")
    plugin.offline = True
    saved = save(trained(plugin, "wavlm"), {"do_normalize": False})
    source = tmp_path / "source"
    shutil.copytree(saved, source / place)
    (source / place / "pytorch_model.bin").write_bytes(b"not needed")
    if place:
        shutil.copytree(save(trained(tiny("hubert"), "hubert"), name="h"), source / "hubert")
    fetched = plugin.fetch(PRETRAINED, source)
    assert [path.name for path in fetched] == ["config.json", "preprocessor_config.json", "model.safetensors"]
    assert fetched[-1].read_bytes() == (saved / "model.safetensors").read_bytes()
    assert not [path for path in fetched[0].parent.iterdir() if path not in fetched]
    assert plugin.fetch(PRETRAINED, tmp_path / "elsewhere") == fetched, "what is here is not fetched again"


def test_fetch_refuses_what_does_not_fit(tiny: Make, save: Any, tmp_path: Path, own_folders: Path) -> None:
    plugin = tiny("wavlm")
    plugin.offline = True
    with pytest.raises(FilesError, match=r"is not a folder\. --from takes a folder"):
        plugin.fetch(PRETRAINED, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FilesError, match=r"does not hold tiny/wavlm: expected config\.json"):
        plugin.fetch(PRETRAINED, tmp_path / "empty")
    other = save(trained(tiny("hubert"), "hubert"), name="hubert")
    with pytest.raises(FilesError, match=r"does not fit:\n.*'hubert' network"):
        plugin.fetch(PRETRAINED, other)
    damaged = save(trained(plugin, "wavlm"), name="wavlm")
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(FilesError, match="is no safetensors file"):
        plugin.fetch(PRETRAINED, damaged)
    own = own_folders / "data" / "isocortex-wav2vec2" / "tiny" / "wavlm"
    assert not own.exists()
    shutil.copytree(damaged, own)
    with pytest.raises(FilesError, match=r"is no safetensors file .* Delete .* in .*wavlm and fetch it again"):
        plugin.fetch(PRETRAINED)


# --- the hub


class Hub(http.server.BaseHTTPRequestHandler):
    """What the hub's client asks of the hub: files of the main revision, with a commit and a checksum."""

    files: dict[str, bytes]
    asked: list[str]

    def do_HEAD(self) -> None:
        """Say that a file is there, or not."""
        self.answer()

    def do_GET(self) -> None:
        """Give a file."""
        body = self.answer()
        if body is not None:
            self.wfile.write(body)

    def answer(self) -> bytes | None:
        name = self.path.partition("/resolve/main/")[2]
        self.asked.append(f"{self.command} {name}")
        body = self.files.get(self.path)
        self.send_response(404 if body is None else 200)
        if body is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        else:
            self.send_header("ETag", f'"{sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", "b" * 40)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        return body

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[tuple[str, type[Hub]]]:
    """Address of a hub on this machine, and what it has."""
    handler = type("Handler", (Hub,), {"files": {}, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as opened:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{opened.server_port}", handler
        opened.shutdown()


def test_fetch_downloads_just_what_is_needed_and_then_no_network_is(
    tiny: Make, save: Any, sounds: Any, hub: Any, isocortex_process: Any, own_folders: Path, tmp_path: Path
) -> None:
    """An ID of a row, a hub that has a small checkpoint of its family in a torch file, as older ones are."""
    name = "facebook/hubert-base-ls960"
    address, handler = hub
    saved = save(trained(tiny("hubert"), "hubert"), {"do_normalize": True}, safe=False)
    (saved / "tf_model.h5").write_bytes(b"not needed")
    for path in saved.iterdir():
        handler.files[f"/{name}/resolve/main/{path.name}"] = path.read_bytes()
    variables = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    done = isocortex_process("fetch", "-m", name, env=variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert name in done.stderr
    own = own_folders / "data" / "isocortex-wav2vec2" / name
    got = {path.name for path in own.iterdir() if path.is_file()}
    assert got == {"config.json", "preprocessor_config.json", "pytorch_model.bin"}
    assert {asked for asked in handler.asked if asked.startswith("GET")} == {f"GET {wanted}" for wanted in got}
    assert (own / "pytorch_model.bin").read_bytes() == (saved / "pytorch_model.bin").read_bytes()
    plugin = resolver(offline=True).model(name)
    assert plugin.offline
    found = time_means(plugin, "pretrained", sounds(0.5))
    for layer, values in time_means(tiny("hubert"), f"file:{saved}", sounds(0.5)).items():
        np.testing.assert_array_equal(values, found[layer])


def test_a_hub_that_does_not_answer_or_lacks_it_is_told_in_one_message(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the client raises differs between its versions; the message is ours."""
    import huggingface_hub

    def unreachable(*arguments: Any, **options: Any) -> str:
        raise ConnectionError("Network is unreachable\nand more lines")

    def lacking(*arguments: Any, **options: Any) -> str:
        raise huggingface_hub.errors.EntryNotFoundError("404")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(
        FilesError, match=r"tiny/whisper: ConnectionError: Network is unreachable\nRun 'isocortex fetch"
    ):
        tiny("whisper").fetch(PRETRAINED)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lacking)
    with pytest.raises(FilesError, match=r"it has not all of these files"):
        tiny("whisper").load(PRETRAINED, device="cpu")


def test_real_rows_take_files_of_other_sizes(save: Any, tiny: Make) -> None:
    folder = save(trained(tiny("spectrogram"), "spectrogram"), dict(tiny("spectrogram").architecture().features))
    with load_model(f"MIT/ast-finetuned-audioset-10-10-0.4593@file:{folder}=small") as model:
        assert [layer for layer in model.layers if layer.startswith("encoder")] == [
            "encoder.layers.0.output.dense",
            "encoder.layers.1.output.dense",
        ]
    assert tensor_shapes(folder / "model.safetensors")["classifier.dense.bias"] == [5]
