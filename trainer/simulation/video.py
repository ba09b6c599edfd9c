"""Pictures as a video: H.264 in MP4, which every browser plays."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


def write(path: Path, pictures: Iterable[Picture], frames_per_second: int) -> int:
    """Encode pictures by libx264 as yuv420p.

    Args:
        path: the file; its name ends in `.mp4`.
        pictures: RGB [height, width, 3], all of one size. yuv420p needs even sizes, so that an odd last row or column
            is doubled.
        frames_per_second: how fast they are played.

    Returns:
        How many there were.
    """
    count = 0
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=frames_per_second)
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            even = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), mode="edge")
            if not count:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            count += 1
        container.mux(stream.encode())
    return count
