"""A contact sheet of rendered people: a row is one person, in all cameras.

python examples/contact_sheet.py people.jpg --difficulty hard --first 30 --rows 12
"""

import argparse

import numpy as np
from PIL import Image

from denseil.synth import People, Recipe


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", help="the picture to write")
    parser.add_argument("--difficulty", default="standard", help="easy, standard or hard")
    parser.add_argument("--groups", type=float, default=0.0, help="share of the people in wardrobe groups")
    parser.add_argument("--heads", default="painted", help="painted or photographed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="how many identities to leave out")
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--frames", type=int, default=3, help="of a tracklet")
    parser.add_argument("--height", type=int, default=192, help="of a crop, pixels")
    options = parser.parse_args(arguments)

    size = {"height": options.height, "width": options.height // 2}
    version = 3 if options.heads == "photographed" else 2 if options.groups else 1
    size |= {"frames": options.frames, "seed": options.seed, "difficulty": options.difficulty}
    recipe = Recipe(400, version=version, groups=options.groups, **size)
    people = People(recipe)
    rows = []
    for identity in people.identities[options.first : options.first + options.rows]:
        crops = [np.asarray(image) for take in people.takes(identity) for image in people.render(take)]
        rows.append(np.concatenate(crops, axis=1))
    Image.fromarray(np.concatenate(rows)).save(options.output, quality=88)


if __name__ == "__main__":
    main()
