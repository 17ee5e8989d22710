"""A dressed person who can be posed."""

from __future__ import annotations

from denseil.synth.body import BodySpace, Posed, f32
from denseil.synth.cloth import dress
from denseil.synth.drape import drapes, fall
from denseil.synth.look import Look
from denseil.synth.loops import minus
from denseil.synth.mesh import Mesh
from denseil.synth.pieces import pieces


class Figure:
    """A dressed person, posed for every frame.

    Args:
        space: The space of bodies.
        look: The person's appearance.
        version: Version of the pictures; from 3 on, faces are photographed and hair has a shape.
    """

    def __init__(self, space: BodySpace, look: Look, version: int) -> None:
        self.look = look
        self.version = version
        self.fit = dress(space, look, version)
        self.pieces = pieces(look, self.fit, version)
        self.drapes = drapes(look, self.fit)

    def meshes(self, posed: Posed, heading: float) -> list[Mesh]:
        """Return the meshes of the person in a pose, soles at z = 0."""
        fit = self.fit
        body = posed.skin(fit.vertices, fit.space.weights)
        meshes = [Mesh(body, fit.space.faces, fit.coords, "person" if self.version >= 3 else "body")]
        meshes += [piece.carried(posed, heading) for piece in self.pieces]
        meshes += [fall(drape, body, posed, heading, fit.scale) for drape in self.drapes]
        floor = min(m.vertices[:, 2].min() for m in meshes if m.part == "shoe")
        return [Mesh(minus(m.vertices, f32([0, 0, floor])), m.faces, m.coords, m.part) for m in meshes]
