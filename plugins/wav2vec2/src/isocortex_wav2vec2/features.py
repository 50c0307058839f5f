"""From sounds to the input of a network: waveforms, Whisper's log-mel spectrograms, AST's filter banks.

Channels are averaged, and sounds are resampled with soxr (its high quality) to the network's rate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from isocortex.data import resample
from isocortex.errors import DataError
from isocortex.models import first_tensor
from isocortex_wav2vec2.families import import_transformers, quiet

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from isocortex.data import Stimulus, StimulusBatch
    from isocortex_wav2vec2.architectures import Architecture

    Sound = NDArray[np.float32]


def mono(samples: ArrayLike, rate: float, wanted: float) -> Sound:
    """The mean of a sound's channels at another sampling rate, (n_samples,) float32.

    Parameters
    ----------
    samples
        (n_samples,) or (n_samples, n_channels), the sound.
    rate, wanted
        Its sampling rate and the one wanted, in Hz.

    Raises
    ------
    DataError
        No samples, another shape, or samples that are not finite.

    Examples
    --------
    >>> mono([[0.0, 1.0], [1.0, 0.0]], 16_000, 16_000)
    array([0.5, 0.5], dtype=float32)
    """
    sound = np.asarray(samples, dtype=np.float32)
    if sound.ndim == 2 and sound.shape[1]:
        sound = sound.mean(axis=1)
    if sound.ndim != 1 or not sound.size:
        raise DataError(f"Expected (n_samples,) or (n_samples, n_channels) with samples in it, found {sound.shape}.")
    if not np.isfinite(sound).all():
        n_bad = int((~np.isfinite(sound)).sum())
        raise DataError(f"Expected finite samples, found {n_bad} of {sound.size} that are NaN or infinite.")
    return np.ascontiguousarray(resample(sound, rate, wanted), dtype=np.float32)


class Features(ABC):
    """How a family's input is made.

    Parameters
    ----------
    architecture
        Its configuration and the settings of its input.
    """

    #: "any" where every sound is brought to one length
    batching: Literal["any", "equal-length"] = "any"
    #: name of the input among the arguments of the network
    keyword = "input_values"
    #: samples of the shortest sound
    n_shortest = 1

    def __init__(self, architecture: Architecture) -> None:
        self.config, self.settings = dict(architecture.config), dict(architecture.features)
        self.rate = float(self.settings["sampling_rate"])

    def __call__(self, batch: StimulusBatch) -> Mapping[str, Any]:
        """The network's input by keyword; ``lengths`` are the samples of each sound.

        Raises
        ------
        DataError
            A sound cannot be used; the message names it.
        """
        sounds = [self._sound(stimulus) for stimulus in batch]
        return {self.keyword: self.make(sounds), "lengths": [len(sound) for sound in sounds]}

    def _sound(self, stimulus: Stimulus) -> Sound:
        try:
            if stimulus.modality != "audio" or stimulus.sample_rate is None:
                raise DataError(
                    f"Expected a sound with its sampling rate in Hz, found modality {stimulus.modality!r} "
                    f"and rate {stimulus.sample_rate}."
                )
            sound = mono(stimulus.array, stimulus.sample_rate, self.rate)
            if len(sound) < self.n_shortest:
                raise DataError(
                    f"Expected at least {self.n_shortest} samples at {self.rate:g} Hz, which one step of the network "
                    f"takes in; found {len(sound)}. Leave it out or pad it."
                )
        except DataError as error:
            raise DataError(f"Stimulus {stimulus.id!r}: {error}") from error
        return sound

    @abstractmethod
    def make(self, sounds: Sequence[Sound]) -> NDArray[np.float32]:
        """The input, (n_sounds, …)."""

    def lengths(self, fed: Mapping[str, Any], layer: str, n_steps: int) -> Sequence[int]:
        """Steps of a layer, of ``n_steps``, that each sound takes up."""
        del layer
        return [n_steps] * len(fed["lengths"])

    def output(self, layer: str, given: Any) -> Any:
        """The hidden states in what a module gave: the first tensor where it gave several things."""
        return first_tensor(layer, given)


class Waveforms(Features):
    """Samples, with mean 0 and variance 1 for each sound where the checkpoint asks for it.

    Sounds of one length only: even with an attention mask, padding changes what most of these networks give.
    """

    batching = "equal-length"

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        extraction = import_transformers("models.wav2vec2.feature_extraction_wav2vec2")
        with quiet():
            self._extractor: Any = extraction.Wav2Vec2FeatureExtractor(
                feature_size=1,
                sampling_rate=round(self.rate),
                padding_value=0.0,
                do_normalize=bool(self.settings["do_normalize"]),
            )
        self.n_shortest = 1
        pairs = zip(self.config["conv_kernel"], self.config["conv_stride"], strict=False)
        for kernel, stride in reversed(list(pairs)):
            self.n_shortest = (self.n_shortest - 1) * stride + kernel

    def make(self, sounds: Sequence[Sound]) -> NDArray[np.float32]:
        """The samples, (n_sounds, n_samples).

        Raises
        ------
        DataError
            Sounds of different length.
        """
        if len({len(sound) for sound in sounds}) > 1:
            raise DataError(
                f"Expected sounds of one length, found {sorted({len(sound) for sound in sounds})} samples. Padding "
                "would change what the network gives; put sounds of equal length together."
            )
        found = self._extractor(list(sounds), sampling_rate=round(self.rate), padding=False, return_tensors="np")
        return np.asarray(found["input_values"], dtype=np.float32)


class LogMel(Features):
    """Whisper's log-mel spectrogram of a window of fixed length: longer sounds are cut, shorter ones padded."""

    keyword = "input_features"

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        self._refuse_window()
        extraction = import_transformers("models.whisper.feature_extraction_whisper")
        with quiet():
            self._extractor: Any = extraction.WhisperFeatureExtractor(
                **{key: int(value) for key, value in self.settings.items()}
            )

    def _refuse_window(self) -> None:
        window, n_steps = self.n_window, 2 * int(self.config["max_source_positions"])
        n_bins = int(self.config["num_mel_bins"])
        if window != n_steps * int(self.settings["hop_length"]) or n_bins != int(self.settings["feature_size"]):
            raise DataError(
                f"preprocessor_config.json makes {window / self.settings['hop_length']:g} steps of "
                f"{self.settings['feature_size']} bands; config.json expects {n_steps} of {n_bins}. Fetch both again."
            )

    @property
    def n_window(self) -> int:
        """Samples of the window."""
        return round(self.rate * self.settings["chunk_length"])

    def make(self, sounds: Sequence[Sound]) -> NDArray[np.float32]:
        """The spectrograms, (n_sounds, n_bands, n_steps); each sound alone, so that the batch does not matter."""
        rate = round(self.rate)
        found = [self._extractor(sound, sampling_rate=rate, return_tensors="np")["input_features"] for sound in sounds]
        return np.concatenate(found).astype(np.float32)

    def lengths(self, fed: Mapping[str, Any], layer: str, n_steps: int) -> Sequence[int]:
        """Steps that begin within the sound."""
        del layer
        per_step = self.n_window / n_steps
        return [min(n_steps, ceil(n_samples / per_step)) for n_samples in fed["lengths"]]


class FilterBank(Features):
    """AST's filter bank of the first frames of a sound: longer sounds are cut, shorter ones padded.

    Tokens are patches of frequency and time behind two tokens without a place. A layer is the mean over its patches of
    one time: (n_sounds, n_times, n_channels).
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        config, n_bins = self.config, int(self.settings["num_mel_bins"])
        self.n_frames = int(self.settings["max_length"])
        if (self.n_frames, n_bins) != (config["max_length"], config["num_mel_bins"]):
            raise DataError(
                f"preprocessor_config.json makes {self.n_frames} frames of {n_bins} bands; config.json expects "
                f"{config['max_length']} of {config['num_mel_bins']}. Fetch both again."
            )
        self.frame_length, self.frame_step = round(0.025 * self.rate), round(0.010 * self.rate)
        self.n_shortest = self.frame_length
        self.n_frequencies = self._n_patches(n_bins, int(config["frequency_stride"]))
        self.n_times = self._n_patches(self.n_frames, int(config["time_stride"]))
        self._audio: Any = import_transformers("audio_utils")
        self._filters = self._mel_filters(n_bins)

    def _n_patches(self, n_steps: int, stride: int) -> int:
        return max(1, (n_steps - int(self.config["patch_size"])) // stride + 1)

    @property
    def n_fft(self) -> int:
        """The power of two that holds a frame."""
        return 1 << (self.frame_length - 1).bit_length()

    def _mel_filters(self, n_bins: int) -> NDArray[np.float64]:
        with quiet():
            return self._audio.mel_filter_bank(
                num_frequency_bins=self.n_fft // 2 + 1,
                num_mel_filters=n_bins,
                min_frequency=20,
                max_frequency=self.rate / 2,
                sampling_rate=round(self.rate),
                norm=None,
                mel_scale="kaldi",
                triangularize_in_mel_space=True,
            )

    def make(self, sounds: Sequence[Sound]) -> NDArray[np.float32]:
        """The filter banks, (n_sounds, n_frames, n_bands)."""
        return np.stack([self._padded(self.filter_bank(sound)) for sound in sounds])

    def filter_bank(self, sound: Sound) -> NDArray[np.float32]:
        """Log energy in mel bands, (n_frames, n_bands), by the rules of Kaldi as numpy computes them.

        transformers takes torchaudio for it where that is installed; here the result does not hang on what is.
        """
        return self._audio.spectrogram(
            sound[: self.frame_length + (self.n_frames - 1) * self.frame_step],
            self._audio.window_function(self.frame_length, "hann", periodic=False),
            frame_length=self.frame_length,
            hop_length=self.frame_step,
            fft_length=self.n_fft,
            power=2.0,
            center=False,
            preemphasis=0.97,
            mel_filters=self._filters,
            log_mel="log",
            mel_floor=1.192092955078125e-07,  # float32's epsilon, as in Kaldi
            remove_dc_offset=True,
        ).T.astype(np.float32)

    def _padded(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        # zeros before the normalisation, as the network was trained
        padded = np.zeros((self.n_frames, frames.shape[1]), dtype=np.float32)
        padded[: len(frames)] = frames
        if not self.settings["do_normalize"]:
            return padded
        return (padded - np.float32(self.settings["mean"])) / np.float32(2 * self.settings["std"])

    def lengths(self, fed: Mapping[str, Any], layer: str, n_steps: int) -> Sequence[int]:
        """Patches in time that lie within the sound; at least the first."""
        del layer, n_steps
        n_frames = [min(self.n_frames, 1 + (n - self.frame_length) // self.frame_step) for n in fed["lengths"]]
        return [self._n_patches(n, int(self.config["time_stride"])) for n in n_frames]

    def output(self, layer: str, given: Any) -> Any:
        """The mean over the patches of one time, without the two tokens that have no place."""
        tokens, n_patches = super().output(layer, given), self.n_frequencies * self.n_times
        if len(tokens.shape) != 3 or tokens.shape[1] not in (n_patches, n_patches + 2):
            return tokens
        patches = tokens[:, tokens.shape[1] - n_patches :]
        return patches.reshape(len(tokens), self.n_frequencies, self.n_times, -1).mean(1)


FEATURES: Mapping[str, type[Features]] = {
    "whisper": LogMel,
    "audio-spectrogram-transformer": FilterBank,
}


def features_of(architecture: Architecture) -> Features:
    """How the input of a family is made; waveforms where nothing else is known.

    Raises
    ------
    DataError
        Settings that do not fit the network.
    """
    return FEATURES.get(architecture.family, Waveforms)(architecture)
