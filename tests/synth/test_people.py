"""Who is drawn: determinism, families, splits, clothes."""

import json
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from denseil.synth import People, Recipe
from denseil.synth.body import body_space
from denseil.synth.look import BOTTOMS, DETAILS, TOPS, draw_look
from denseil.synth.paint import paint

SMALL = {"num_ids": 60, "frames": 2, "height": 64, "width": 32}


def test_same_seed_same_people_other_seed_others():
    one, two = People(Recipe(**SMALL, seed=4)), People(Recipe(**SMALL, seed=4))
    assert one.manifest() == two.manifest()
    assert one.checksum() != People(Recipe(**SMALL, seed=5)).checksum()
    json.dumps(one.manifest(), allow_nan=False)


@pytest.mark.parametrize("difficulty", ["easy", "standard", "hard"])
def test_families_differ_in_one_fine_detail_and_stay_in_one_split(difficulty: str):
    people = People(Recipe(num_ids=300, difficulty=difficulty))
    families: dict[int, list] = {}
    for identity in people.identities:
        if identity.family >= 0:
            families.setdefault(identity.family, []).append(identity)
    share = sum(map(len, families.values())) / 300
    assert share == pytest.approx(people.level.families, abs=0.02)
    may_differ = {
        "shoes": {"shoes", "shoe_name", "shoe_colour"},
        "bag": {"bag", "bag_name", "bag_colour"},
        "headwear": {"headwear", "headwear_name", "headwear_colour"},
        "print": {"pattern", "print_seed"},
        "pattern": {"pattern_size"},
    }
    for members in families.values():
        assert len({m.train for m in members}) == 1
        first = asdict(people.look(members[0]))
        for member in members[1:]:
            look = asdict(people.look(member))
            differ = {name for name, value in look.items() if value != first[name]}
            assert differ, member
            assert differ <= may_differ[member.detail], member


def test_members_of_a_wardrobe_group_wear_the_same_and_differ_in_the_rest():
    people = People(Recipe(num_ids=120, version=2, groups=0.5))
    groups: dict[int, list] = {}
    for identity in people.identities:
        if identity.detail == "wardrobe":
            groups.setdefault(identity.family, []).append(identity)
    assert [len(members) for members in groups.values()] == [6] * 10
    bottoms = []
    for members in groups.values():
        assert len({member.train for member in members}) == 1
        looks = [people.look(member) for member in members]
        assert len({(look.top, look.top_name) for look in looks}) == 1
        assert len({look.top_colour for look in looks}) == 6  # no two dyes are equal
        assert len({look.body for look in looks}) > 3
        assert len({(look.hair, look.hair_name, look.shoes, look.bag) for look in looks}) > 3
        bottoms.append(max(Counter(look.bottom_name for look in looks).values()))
    assert np.mean(bottoms) > 3
    others = [i for i in people.identities if i.detail != "wardrobe"]
    assert {i.detail for i in others} > {""}  # families, as in version 1


def test_groups_need_version_2_and_versions_draw_other_people():
    with pytest.raises(ValueError, match="version=2"):
        Recipe(num_ids=12, groups=0.5)
    with pytest.raises(ValueError, match="version=4"):
        Recipe(num_ids=12, version=4)
    one, two = People(Recipe(**SMALL)), People(Recipe(**SMALL, version=2))
    assert one.checksum() != two.checksum()


def test_all_details_occur_and_are_told_per_query():
    people = People(Recipe(num_ids=300, difficulty="hard"))
    rows = people.manifest()["tracklets"]
    queries = [row for row in rows if row["query"]]
    assert len(queries) == sum(not identity.train for identity in people.identities)
    assert {row["fine_detail"] for row in queries} == {"", *DETAILS}


def test_train_and_test_share_nobody():
    people = People(Recipe(**SMALL))
    pids = Counter(identity.pid for identity in people.identities)
    assert set(pids.values()) == {1}
    assert sum(identity.train for identity in people.identities) == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
    ("field", "value"), [("num_ids", 0), ("num_cameras", 10), ("frames", 0), ("difficulty", "odd"), ("test_share", 1.5)]
)
def test_bad_values_are_named(field: str, value: object):
    with pytest.raises(ValueError, match=field):
        Recipe(**{"num_ids": 3, field: value})


def test_everyone_is_clothed():
    """No point between chest and knees has the colour of skin, whatever is worn; skin is made green to tell."""
    space = body_space()
    _, _, z, arm, _ = space.canonical.T
    must = (arm <= 0.02) & (z > 0.80) & (z < 1.40)
    for seed in range(300):
        look = draw_look(np.random.default_rng([5, seed]), space)
        object.__setattr__(look, "skin", (0.0, 1.0, 0.0))
        for name in ("top_colour", "second_colour", "inner_colour", "bottom_colour", "bag_colour"):
            object.__setattr__(look, name, (0.5, 0.5, 0.5))
        red, green, _ = paint(look, "body", space.canonical[must]).T
        assert (green < red + 0.2).all(), (look.top, look.bottom)


def test_variety():
    looks = [draw_look(np.random.default_rng([6, seed]), body_space()) for seed in range(600)]
    assert {look.top for look in looks} == set(TOPS)
    assert {look.bottom for look in looks} == set(BOTTOMS)
    for field, least in (("hair", 7), ("headwear", 5), ("bag", 5), ("shoes", 4), ("held", 4), ("pattern", 9)):
        assert len({getattr(look, field) for look in looks}) >= least, field
    brightness = np.array([max(look.top_colour) for look in looks])
    saturation = np.array([max(look.top_colour) - min(look.top_colour) for look in looks])
    assert np.median(brightness) < 0.45  # streets are dark
    assert (saturation > 0.45).mean() < 0.15
    vivid = [draw_look(np.random.default_rng([6, seed]), body_space(), "vivid").top_colour for seed in range(200)]
    assert np.mean([max(c) - min(c) for c in vivid]) > 1.3 * saturation.mean()
