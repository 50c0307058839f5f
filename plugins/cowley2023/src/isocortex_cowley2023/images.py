"""The stimuli of a session: 112 × 112 JPEG images, in the order of their numbers, which is that of the responses."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from isocortex.errors import DataError
from isocortex.interfaces import DataFiles, StimuliPlugin
from isocortex_cowley2023.source_files import present

if TYPE_CHECKING:
    from isocortex.data import StimulusSet

_NAME = re.compile(r"(image[0-9]{4})\.jpg")


def stimulus_ids(n_images: int) -> list[str]:
    """``image0001``, ``image0002``, …: as the files are called.

    Examples
    --------
    >>> stimulus_ids(2)
    ['image0001', 'image0002']
    """
    return [f"image{number:04d}" for number in range(1, n_images + 1)]


class SessionImages(StimuliPlugin):
    """The images of the session that ``options.session`` of the row names."""

    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set in the order of the numbers, which is the canonical order.

        Parameters
        ----------
        files
            Members of the archive of images; without any, those that were brought before.

        Raises
        ------
        DataError
            The archive lacks an image, or has more.
        FilesError
            The images were not brought yet.
        """
        from isocortex.data import StimulusSet

        session, ids = str(self.card.options["session"]), stimulus_ids(int(self.card.options["n_images"]))
        files = files or present(f"images {session}")
        found = [
            (match[1], path) for name, path in files.items() if (match := _NAME.fullmatch(PurePosixPath(name).name))
        ]
        if sorted(name for name, _ in found) != ids:
            raise DataError(
                f"The archive of session {session} must hold {ids[0]}.jpg to {ids[-1]}.jpg once each; found "
                f"{len(found)} images."
            )
        return StimulusSet(self.card.id, self.card.modality, dict(sorted(found)))
