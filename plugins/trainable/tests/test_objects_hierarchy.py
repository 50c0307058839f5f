"""Does a hierarchy of classes help? HD-CNN and the plain CNN of equal depth on images that neither has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from isocortex.training import Journal  # noqa: E402
from isocortex_trainable.learning.epochs import Training, train  # noqa: E402
from isocortex_trainable.learning.optimisers import optimiser  # noqa: E402
from isocortex_trainable.learning.rates import falling  # noqa: E402
from isocortex_trainable.objects.cifar_cnn import negative_log_likelihood  # noqa: E402
from isocortex_trainable.objects.classification import ExampleBatches, Examples, Naming, named_by  # noqa: E402
from isocortex_trainable.objects.hd_cnn import HDArchitecture, PlainCNN, Stack  # noqa: E402
from isocortex_trainable.objects.hd_training import HDPlan, Lesson, Place, stage_seed, train_hd  # noqa: E402
from isocortex_trainable.objects.inputs import centred  # noqa: E402
from isocortex_trainable.objects.labelled_images import LabelledImages, held_out  # noqa: E402

N_COARSE, N_WITHIN = 20, 5
COARSE_OF = np.arange(N_COARSE * N_WITHIN) // N_WITHIN
NETWORK = HDArchitecture(stacks=(Stack(((8, 3),)), Stack(((16, 3),)), Stack(((24, 3),)), Stack(((12, 2),))), n_units=16)
PLAN = HDPlan(plain=10, coarse=1, branch=3, end_to_end=8, rates=(0.02, 0.005), augment=False)
N_LEARNED, N_TESTED = 50, 50


def textures(stream: np.random.Generator, n_textures: int, width: float) -> np.ndarray:
    """Noise that is smoothed by a Gaussian of a width in pixels, variance 1."""
    spectrum = np.fft.rfft2(stream.standard_normal((n_textures, 3, 32, 32)))
    squares = np.fft.fftfreq(32)[:, None] ** 2 + np.fft.rfftfreq(32) ** 2
    smooth = np.fft.irfft2(spectrum * np.exp(-2 * (np.pi * width) ** 2 * squares), s=(32, 32))
    return smooth / smooth.std(axis=(1, 2, 3), keepdims=True)


def problem(seed: int) -> tuple[LabelledImages, LabelledImages]:
    """A coarse class is a texture, to which a class adds a faint one of its own; images are shifted and noisy."""
    stream = np.random.default_rng([seed, 5])
    coarse, fine = textures(stream, N_COARSE, 2.0), textures(stream, len(COARSE_OF), 1.0)
    parts: list[LabelledImages] = []
    for count in (N_LEARNED, N_TESTED):
        classes = np.repeat(np.arange(len(COARSE_OF)), count)
        images = coarse[COARSE_OF[classes]] + 0.25 * fine[classes]
        shifts = stream.integers(-3, 4, (len(classes), 2))
        images = np.stack([np.roll(one, tuple(by), (1, 2)) for one, by in zip(images, shifts, strict=True)])
        images += stream.standard_normal(images.shape)
        parts.append(LabelledImages(np.clip(128 + 30 * images, 0, 255).astype(np.uint8), classes))
    return parts[0], parts[1]


def plain_for_as_long(lesson: Lesson, seed: int, folder: Path) -> PlainCNN:
    """The plain CNN, which sees every image as often as HD-CNN does in all its stages, with the same rates."""
    place = Place(journal=Journal(folder), seed=seed)
    network = place.built(PlainCNN, NETWORK)
    n_epochs = PLAN.plain + PLAN.coarse + PLAN.branch + PLAN.end_to_end
    training = Training(
        batches=ExampleBatches(lesson.learned, PLAN.n_batch),
        loss=negative_log_likelihood,
        optimiser=optimiser("sgd", momentum=PLAN.momentum, nesterov=True),
        rate=falling(PLAN.rates, [PLAN.plain], PLAN.decay),
        n_epochs=n_epochs,
        seed=stage_seed(seed, "plain"),
        validate=Naming(lesson.held_out, negative_log_likelihood),
        best=("held_out_accuracy", "most"),
    )
    train(network, training, place.journal.part("plain", n_epochs))
    assert isinstance(network, PlainCNN)
    return network


@pytest.mark.long
def test_hd_cnn_beats_the_plain_cnn_of_equal_depth_over_three_seeds(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    differences, accuracies = [], []
    for seed in range(3):
        training_part, tested = problem(seed)
        learned, rest = held_out(training_part)
        inputs = centred(learned.pixels)
        examples = [Examples(inputs(part.pixels), part.fine) for part in (learned, rest)]
        lesson = Lesson(*examples, COARSE_OF)
        place = Place(journal=Journal(tmp_path / f"hd {seed}"), seed=seed)
        hierarchical, _ = train_hd(NETWORK, lesson, PLAN, place)
        plain = plain_for_as_long(lesson, seed, tmp_path / f"plain {seed}")
        right = [named_by(network, inputs(tested.pixels), "cpu") == tested.fine for network in (hierarchical, plain)]
        accuracies.append([float(one.mean()) for one in right])
        differences.append(right[0].astype(float) - right[1])
    torch.set_num_threads(threads)
    paired = np.concatenate(differences)
    mean, half = paired.mean(), 1.96 * paired.std(ddof=1) / np.sqrt(len(paired))
    print(f"HD-CNN and plain CNN: {accuracies}; difference {mean:.4f} ± {half:.4f} over {len(paired)} images")
    assert all(0.3 < accuracy < 0.95 for pair in accuracies for accuracy in pair)  # neither chance nor ceiling
    assert mean - half > 0
