"""The same rendered people with painted heads, and with photographed ones below, from the camera that they face most.

python examples/heads_sheet.py heads.jpg
"""

import argparse

import numpy as np
from PIL import Image

from denseil.synth import People, Recipe


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", help="the picture to write")
    parser.add_argument("--columns", type=int, default=12, help="people")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--height", type=int, default=256, help="of a crop, pixels")
    options = parser.parse_args(arguments)

    rows = []
    for version in (2, 3):
        size = {"height": options.height, "width": options.height // 2}
        people = People(Recipe(400, frames=1, seed=options.seed, difficulty="easy", version=version, **size))
        takes = [
            max(people.takes(who), key=lambda take: np.cos(people.passage(take).heading))  # heading 0 is to the camera
            for who in people.identities[: options.columns]
        ]
        rows.append(np.concatenate([np.asarray(people.render(take)[0]) for take in takes], axis=1))
    Image.fromarray(np.concatenate(rows)).save(options.output, quality=88)


if __name__ == "__main__":
    main()
