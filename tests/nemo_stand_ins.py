"""Small networks of every class and encoder of NeMo's speech recognisers: the real classes, with few units.

Everything is made here, without a network: a tokenizer of forty pieces, the networks, and their ``.nemo`` files.
NeMo is imported when a network is made.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Config = dict[str, Any]

N_PIECES = 40
_ASR = "nemo.collections.asr"
_MODULES = f"{_ASR}.modules"
_LABELS = [" ", *"abcdefghijklmnopqrstuvwxyz'"]


def make_tokenizer(folder: Path, n_pieces: int = N_PIECES) -> Path:
    """Train a tokenizer of NeMo's kind on a few lines."""
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "text.txt"
    words = "the quick brown fox jumps over a lazy dog and we hear some music in every valley"
    lines = [f"{words[place:]} {words[:place]}" for place in range(0, len(words), 4)]
    text.write_text("\n".join(lines))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), vocab_size=n_pieces, model_type="bpe",
        bos_id=-1, eos_id=-1, pad_id=-1, minloglevel=2,
    )  # fmt: skip
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    (folder / "vocab.txt").write_text("\n".join(pieces.id_to_piece(place) for place in range(pieces.vocab_size())))
    return folder


def _preprocessor(**more: Any) -> Config:
    return {
        "_target_": f"{_MODULES}.AudioToMelSpectrogramPreprocessor",
        "sample_rate": 16000, "features": 16, "n_fft": 512, "window_size": 0.025, "window_stride": 0.01,
        "window": "hann", "normalize": "per_feature", "frame_splicing": 1, "dither": 1e-5, "pad_to": 16, **more,
    }  # fmt: skip


def _conformer(**more: Any) -> Config:
    return {
        "_target_": f"{_MODULES}.ConformerEncoder",
        "feat_in": 16, "feat_out": -1, "n_layers": 2, "d_model": 16, "subsampling": "striding",
        "subsampling_factor": 4, "subsampling_conv_channels": 8, "ff_expansion_factor": 2,
        "self_attention_model": "rel_pos", "n_heads": 2, "att_context_size": [-1, -1], "xscaling": True,
        "untie_biases": True, "pos_emb_max_len": 500, "conv_kernel_size": 5, "conv_norm_type": "batch_norm",
        "dropout": 0.1, "dropout_emb": 0.0, "dropout_att": 0.1, **more,
    }  # fmt: skip


def _fast(**more: Any) -> Config:
    return _conformer(**{"subsampling": "dw_striding", "subsampling_factor": 8, "xscaling": False, **more})


def _squeezeformer() -> Config:
    return {
        "_target_": f"{_MODULES}.SqueezeformerEncoder",
        "feat_in": 16, "feat_out": -1, "n_layers": 4, "d_model": 16, "subsampling": "dw_striding",
        "subsampling_factor": 4, "subsampling_conv_channels": 8, "ff_expansion_factor": 2,
        "self_attention_model": "rel_pos", "n_heads": 2, "att_context_size": [-1, -1], "xscaling": True,
        "untie_biases": True, "pos_emb_max_len": 500, "conv_kernel_size": 5, "dropout": 0.1, "dropout_emb": 0.0,
        "dropout_att": 0.1, "adaptive_scale": True, "time_reduce_idx": 1, "time_recovery_idx": None,
    }  # fmt: skip


def _block(filters: int, **more: Any) -> Config:
    plain = {"repeat": 1, "kernel": [5], "stride": [1], "dilation": [1], "dropout": 0.1, "residual": True}
    return {"filters": filters, **plain, **more}


def _convolutions(activation: str, blocks: list[Config], **more: Any) -> Config:
    return {
        "_target_": f"{_MODULES}.ConvASREncoder",
        "feat_in": 16, "activation": activation, "conv_mask": True, "jasper": blocks, **more,
    }  # fmt: skip


def _citrinet() -> Config:
    squeeze = {"separable": True, "se": True, "se_context_size": -1}
    reduce = {**squeeze, "stride": [2], "stride_last": True, "residual_mode": "stride_add"}
    shapes = [(16, {"residual": False}), (16, reduce), (16, {}), (24, reduce), (24, reduce), (32, {"residual": False})]
    return _convolutions("relu", [_block(filters, **{**squeeze, **more}) for filters, more in shapes])


def _jasper() -> Config:
    first, last = _block(16, residual=False, stride=[2]), _block(32, residual=False, kernel=[1])
    dense = [_block(24, repeat=2, residual_dense=True), _block(24, repeat=2, residual_dense=True)]
    return _convolutions("relu", [first, *dense, _block(32, residual=False), last])


def _quartznet() -> Config:
    shapes = [(16, {"residual": False, "stride": [2]}), (16, {"repeat": 2}), (16, {}), (24, {"residual": False})]
    return _convolutions("relu", [_block(filters, separable=True, **more) for filters, more in shapes])


def _contextnet() -> Config:
    squeeze = {"separable": True, "se": True, "se_context_size": -1}
    reduce = {"stride": [2], "stride_last": True, "residual_mode": "stride_add"}
    shapes = [(16, {"residual": False}), (24, reduce), (24, {}), (32, {**reduce, "residual": True})]
    return _convolutions("swish", [_block(filters, **squeeze, **more) for filters, more in shapes])


def _ctc_head(width: int, labels: list[str] | None = None) -> Config:
    return {
        "_target_": f"{_MODULES}.ConvASRDecoder", "feat_in": width,
        "num_classes": len(labels) if labels else -1, "vocabulary": labels or [],
    }  # fmt: skip


def _base(encoder: Config, **more: Any) -> Config:
    return {
        "sample_rate": 16000, "log_prediction": False,
        "preprocessor": _preprocessor(),
        "spec_augment": {
            "_target_": f"{_MODULES}.SpectrogramAugmentation",
            "freq_masks": 1, "time_masks": 1, "freq_width": 4, "time_width": 5,
        },
        "encoder": encoder,
        "optim": {"name": "adamw", "lr": 0.001}, **more,
    }  # fmt: skip


def _ctc(encoder: Config, width: int) -> Config:
    return _base(encoder, tokenizer={"dir": "", "type": "bpe"}, decoder=_ctc_head(width), ctc_reduction="mean_batch")


def _characters(encoder: Config, width: int) -> Config:
    return _base(encoder, labels=_LABELS, decoder=_ctc_head(width, _LABELS))


def _transducer(encoder: Config, width: int, *, durations: bool = False) -> Config:
    prednet = {"pred_hidden": 8, "pred_rnn_layers": 1, "dropout": 0.0}
    jointnet = {
        "encoder_hidden": width, "pred_hidden": 8, "joint_hidden": 8, "activation": "relu", "dropout": 0.1,
    }  # fmt: skip
    extra = {"num_extra_outputs": 5} if durations else {}
    steps = [0, 1, 2, 3, 4]
    config = _base(
        encoder,
        tokenizer={"dir": "", "type": "bpe"},
        model_defaults={"enc_hidden": width, "pred_hidden": 8, "joint_hidden": 8},
        decoder={
            "_target_": f"{_MODULES}.RNNTDecoder", "normalization_mode": None, "random_state_sampling": False,
            "blank_as_pad": True, "prednet": prednet,
        },
        joint={
            "_target_": f"{_MODULES}.RNNTJoint", "log_softmax": None, "preserve_memory": False,
            "fuse_loss_wer": False, "fused_batch_size": 2, "jointnet": jointnet, **extra,
        },
        decoding={"strategy": "greedy", "greedy": {"max_symbols": 3}},
        loss={"loss_name": "warprnnt_numba", "warprnnt_numba_kwargs": {"fastemit_lambda": 0.0, "clamp": -1.0}},
    )  # fmt: skip
    if durations:
        config["model_defaults"] |= {"tdt_durations": steps, "num_tdt_durations": 5}
        config["decoding"] |= {"model_type": "tdt", "durations": steps}
        config["loss"] = {
            "loss_name": "tdt",
            "tdt_kwargs": {"durations": steps, "sigma": 0.02, "omega": 0.1, "fastemit_lambda": 0.0, "clamp": -1.0},
        }
    return config


def _hybrid(encoder: Config, width: int, *, durations: bool = False) -> Config:
    aux = {
        "ctc_loss_weight": 0.3, "use_cer": False, "ctc_reduction": "mean_batch",
        "decoder": _ctc_head(width), "decoding": {"strategy": "greedy"},
    }  # fmt: skip
    return {**_transducer(encoder, width, durations=durations), "aux_ctc": aux}


def _streaming() -> Config:
    encoder = _fast(
        att_context_size=[[70, 13], [70, 6], [70, 1], [70, 0]], att_context_style="chunked_limited",
        causal_downsampling=True, conv_context_size="causal", conv_norm_type="layer_norm",
    )  # fmt: skip
    return {**_hybrid(encoder, 16), "preprocessor": _preprocessor(normalize="NA")}


def _self_supervised() -> Config:
    contrastive = {
        "decoder": {
            "_target_": f"{_MODULES}.ConvASRDecoderReconstruction",
            "feat_in": 16, "feat_hidden": 16, "feat_out": 8, "stride_layers": 0, "non_stride_layers": 0,
            "stride_transpose": False,
        },
        "loss": {
            "_target_": f"{_ASR}.losses.ContrastiveLoss",
            "in_dim": 64, "proj_dim": 8, "combine_time_steps": 4, "quantized_targets": True, "codebook_size": 8,
            "num_groups": 2, "num_negatives": 2, "quantizer_temp_start": 2, "quantizer_temp_min": 0.5,
            "quantizer_temp_decay": 0.9,
        },
    }  # fmt: skip
    patches = {"_target_": f"{_MODULES}.MaskedPatchAugmentation", "patch_size": 16, "mask_patches": 0.5}
    return {**_base(_conformer()), "spec_augment": patches, "loss_list": {"contrastive": contrastive}}


def _canary() -> Config:
    transformer = f"{_MODULES}.transformer.get_nemo_transformer"
    sizes = {"hidden_size": 16, "inner_size": 32, "num_attention_heads": 2, "max_sequence_length": 64}
    sizes |= {"ffn_dropout": 0.1, "attn_score_dropout": 0.1, "attn_layer_dropout": 0.1, "hidden_act": "relu"}
    return _base(
        _fast(),
        prompt_format="canary",
        restore_timestamps_model=False,
        tokenizer={"dir": None, "type": "agg", "langs": {}},
        model_defaults={"asr_enc_hidden": 16, "lm_enc_hidden": 16, "lm_dec_hidden": 16},
        transf_encoder={
            "_target_": f"{_MODULES}.transformer.transformer_encoders.TransformerEncoder",
            "num_layers": 0, "hidden_size": 16, "inner_size": 32, "num_attention_heads": 2,
        },
        transf_decoder={
            "_target_": transformer, "model_name": None, "pretrained": False, "encoder": False,
            "pre_ln_final_layer_norm": True,
            "config_dict": {
                **sizes, "num_layers": 2, "embedding_dropout": 0.1, "learn_positional_encodings": False,
                "pre_ln": True, "vocab_size": None,
            },
        },
        head={
            "_target_": f"{_ASR}.parts.submodules.token_classifier.TokenClassifier",
            "num_layers": 1, "activation": "relu", "log_softmax": True, "hidden_size": 16, "num_classes": None,
            "dropout": 0.0, "use_transformer_init": True,
        },
        decoding={"strategy": "beam", "beam": {"beam_size": 1, "len_pen": 0.0, "max_generation_delta": 5}},
        loss={
            "_target_": "nemo.collections.common.losses.smoothed_cross_entropy.SmoothedCrossEntropyLoss",
            "label_smoothing": 0.0, "pad_id": None,
        },
    )  # fmt: skip


#: name → class and configuration; every class and every encoder of the catalogue
STAND_INS: Mapping[str, tuple[str, Callable[[], Config]]] = {
    "conformer-ctc": ("EncDecCTCModelBPE", lambda: _ctc(_conformer(), 16)),
    "fastconformer-ctc": ("EncDecCTCModelBPE", lambda: _ctc(_fast(), 16)),
    "squeezeformer-ctc": ("EncDecCTCModelBPE", lambda: _ctc(_squeezeformer(), 16)),
    "citrinet": ("EncDecCTCModelBPE", lambda: _ctc(_citrinet(), 32)),
    "jasper": ("EncDecCTCModel", lambda: _characters(_jasper(), 32)),
    "quartznet": ("EncDecCTCModel", lambda: _characters(_quartznet(), 24)),
    "contextnet": ("EncDecRNNTBPEModel", lambda: _transducer(_contextnet(), 32)),
    "conformer-transducer": ("EncDecRNNTBPEModel", lambda: _transducer(_conformer(), 16)),
    "fastconformer-transducer": ("EncDecRNNTBPEModel", lambda: _transducer(_fast(), 16)),
    "parakeet-tdt": ("EncDecRNNTBPEModel", lambda: _transducer(_fast(), 16, durations=True)),
    "hybrid": ("EncDecHybridRNNTCTCBPEModel", lambda: _hybrid(_fast(), 16)),
    "tdt-ctc": ("EncDecHybridRNNTCTCBPEModel", lambda: _hybrid(_fast(), 16, durations=True)),
    "streaming": ("EncDecHybridRNNTCTCBPEModel", _streaming),
    "self-supervised": ("SpeechEncDecSelfSupervisedModel", _self_supervised),
    "canary": ("EncDecMultiTaskModel", _canary),
}
#: one of every kind of output: tensors of layers, lists of blocks, tuples of lengths with a decoder, two heads
FOUR = ("conformer-ctc", "jasper", "canary", "hybrid")


def config_of(name: str, tokenizer: Path) -> Config:
    """The configuration of a stand-in, with its tokenizer."""
    config = copy.deepcopy(STAND_INS[name][1]())
    config["target"] = f"{_ASR}.models.{_MODULE_OF[STAND_INS[name][0]]}.{STAND_INS[name][0]}"
    if config.get("tokenizer", {}).get("type") == "bpe":
        config["tokenizer"]["dir"] = str(tokenizer)
    elif "tokenizer" in config:
        special = tokenizer / "special"
        if not special.exists():
            from nemo.collections.common.tokenizers.canary_tokenizer import CanaryTokenizer

            special.mkdir()
            CanaryTokenizer.build_special_tokenizer(["en", "de", "transcribe", "translate"], str(special))
        config["tokenizer"] |= {
            "langs": {
                "spl_tokens": {"dir": str(special), "type": "bpe"},
                "en": {"dir": str(tokenizer), "type": "bpe"},
            },
            "custom_tokenizer": {"_target_": "nemo.collections.common.tokenizers.canary_tokenizer.CanaryTokenizer"},
        }
    return config


_MODULE_OF = {
    "EncDecCTCModel": "ctc_models",
    "EncDecCTCModelBPE": "ctc_bpe_models",
    "EncDecRNNTBPEModel": "rnnt_bpe_models",
    "EncDecHybridRNNTCTCBPEModel": "hybrid_rnnt_ctc_bpe_models",
    "EncDecMultiTaskModel": "aed_multitask_models",
    "SpeechEncDecSelfSupervisedModel": "ssl_models",
}


def build(name: str, tokenizer: Path, seed: int = 3) -> Any:
    """Build a stand-in by NeMo alone; batch norms and biases are moved away from where constructors put them."""
    import torch
    from nemo.collections.asr import models
    from omegaconf import OmegaConf

    torch.manual_seed(seed)
    model: Any = getattr(models, STAND_INS[name][0])(cfg=OmegaConf.create(config_of(name, tokenizer)))
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for key, buffer in model.encoder.named_buffers():
            if key.endswith("running_mean"):
                buffer.add_(0.1 * torch.randn_like(buffer))
            elif key.endswith("running_var"):
                buffer.mul_(1 + torch.rand_like(buffer))
    return model


def _marblenet() -> Config:
    repeated = {"repeat": 2, "separable": True, "dropout": 0.0}
    once = {"separable": True, "residual": False, "dropout": 0.0}
    blocks = [
        _block(128, **once, kernel=[11], stride=[2]),
        _block(64, **repeated, kernel=[13]),
        _block(64, **repeated, kernel=[15]),
        _block(64, **repeated, kernel=[17]),
        _block(128, **once, kernel=[29], dilation=[2]),
        _block(128, repeat=1, kernel=[1], residual=False, dropout=0.0),
    ]
    encoder = {**_convolutions("relu", blocks), "feat_in": 80}
    decoder = {
        "_target_": "nemo.collections.common.parts.MultiLayerPerceptron",
        "hidden_size": 128, "num_classes": 2, "num_layers": 1, "activation": "relu", "log_softmax": False,
    }  # fmt: skip
    config = _base(encoder, labels=["background", "speech"], num_classes=2, decoder=decoder)
    config["preprocessor"] = _preprocessor(features=80, normalize="None", dither=0.0)
    config["target"] = f"{_ASR}.models.classification_models.EncDecFrameClassificationModel"
    return config


def pack_marblenet(arrays: Path, file: Path) -> Any:
    """Put the arrays of a trained frame-VAD MarbleNet into a network of NeMo's, save it, and return it."""
    import numpy as np
    import torch
    from nemo.collections.asr import models
    from omegaconf import OmegaConf

    with np.load(arrays, allow_pickle=False) as held:
        tensors = {name: torch.from_numpy(held[name]) for name in held.files}
    model: Any = models.EncDecFrameClassificationModel(cfg=OmegaConf.create(_marblenet()))
    for part in ("encoder", "decoder"):
        own = {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}
        getattr(model, part).load_state_dict(own, strict=True)
    torch.testing.assert_close(model.preprocessor.featurizer.fb, tensors["mel"])
    model.eval().save_to(str(file))
    return model
