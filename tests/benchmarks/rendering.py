"""Frames a second that one core renders, by its CPU time, dressing people included.

python -m tests.benchmarks.rendering
"""

import time

from denseil.synth import People, Recipe


def main() -> None:
    for height in (128, 256):
        people = People(Recipe(100, frames=4, height=height, width=height // 2))
        for take in people.takes(people.identities[0]):  # compiles, and reads the bodies
            people.render(take)
        start, frames = time.process_time(), 0
        for identity in people.identities[1:13]:
            for take in people.takes(identity):
                frames += len(people.render(take))
        rate = frames / (time.process_time() - start)
        print(f"{height} x {height // 2}: {rate:.0f} frames a second of CPU time, standard")


if __name__ == "__main__":
    main()
