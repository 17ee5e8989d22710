"""People who never existed: a video re-ID dataset rendered from open assets. Needs the extra `synth`."""

from denseil.synth.people import People as People
from denseil.synth.people import Recipe as Recipe
from denseil.synth.write import synthesize as synthesize
from denseil.synth.write import write_people as write_people
