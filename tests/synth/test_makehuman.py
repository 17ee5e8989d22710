"""MakeHuman's files are read as it writes them."""

from pathlib import Path

import numpy as np
from PIL import Image

from denseil.synth.makehuman import colours_at, place_proxy, read_obj, read_texture, spread


def test_objects_leave_out_joints_and_close_triangles(tmp_path: Path):
    file = tmp_path / "a.obj"
    file.write_text(
        "# a mesh\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 1\n"
        "g body\nf 1/1 2/2 3/1 4/2\nf 1/1 2/1 3/1\ng joint-knee\nf 4/1 3/1 2/1 1/1\n"
    )
    mesh = read_obj(file)
    assert mesh.vertices.shape == (4, 3)
    assert mesh.quads.tolist() == [[[0, 0], [1, 1], [2, 0], [3, 1]], [[0, 0], [1, 0], [2, 0], [2, 0]]]


def test_a_mesh_is_placed_on_three_vertices_with_an_offset_that_grows_with_the_body(tmp_path: Path):
    vertices = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]], dtype=float)
    file = tmp_path / "a.mhclo"
    file.write_text("name a\nx_scale 0 1 2.0\nverts 0\n0 1 2 0.5 0.25 0.25 1 1 1\n3\ndelete_verts\n5 - 7\n")
    np.testing.assert_allclose(place_proxy(file, vertices), [[1 + 2, 1 + 1, 1], [0, 0, 4]])


def testread_textures_are_looked_up_from_below(tmp_path: Path):
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    picture[3, 0] = 255  # the lower left corner is (0, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    (tmp_path / "a.mhmat").write_text("name a\ndiffuseTexture a.png\n")
    texture = read_texture(tmp_path / "a.mhmat")
    found = colours_at(texture, np.array([[0.125, 0.125], [0.25, 0.125], [0.9, 0.9]]))
    np.testing.assert_allclose(found[:, 0], [1, 0.5, 0], atol=0.01)
    assert (found[:, 3] == 1).all()


def test_points_in_a_quad_are_spread_evenly():
    weights = spread(3)
    np.testing.assert_allclose(weights.sum(1), 1)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    np.testing.assert_allclose(np.unique((weights @ corners).round(6)), [0.166667, 0.5, 0.833333])
