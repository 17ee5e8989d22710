"""Maps of heads show what is outermost."""

import numpy as np

from denseil.synth.bake_heads import _splat
from denseil.synth.heads import MAP


def test_a_map_shows_the_outermost_points_and_fills_what_has_none():
    places = np.array([[10.5, 20.5, 0.08], [10.5, 20.5, 0.10], [10.5, 20.5, 0.099], [60.5, 90.5, 0.05]])
    shown = _splat(places, np.array([[9.0], [1.0], [3.0], [5.0]]), depth=0.004)
    assert shown.shape == (*MAP, 1)
    assert shown[10, 20, 0] == 2
    assert shown[11, 21, 0] == 2
    assert shown[71, 95, 0] == 5
