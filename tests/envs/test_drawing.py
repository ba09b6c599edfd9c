import io

import matplotlib.image
import numpy as np

from envs import drawing


def test_a_png_file_reads_back_as_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (7, 11, 3)).astype(np.uint8)
    read = matplotlib.image.imread(io.BytesIO(drawing.png(picture)))
    np.testing.assert_array_equal(np.round(read * 255).astype(np.uint8), picture)


def test_shapes_are_cut_at_the_edges():
    picture = drawing.blank(10, 20)
    drawing.rectangle(picture, -5, 4, 10, 2, drawing.BLUE)
    assert (picture == drawing.BLUE).all(-1).sum() == 10
    drawing.bar(picture, (19, 0), (25, 0), 2, drawing.ORANGE)
    assert (picture[0, 19] == drawing.ORANGE).all()
