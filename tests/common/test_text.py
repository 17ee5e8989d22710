from denseil.common.text import counted, plain


def test_spaces_of_any_width_are_kept_and_controls_escaped():
    assert plain("30:00, 16\u00a0s 東京\u3000駅") == "30:00, 16\u00a0s 東京\u3000駅"
    assert plain("a\x1b[2J\u202eb\nc\u2028d\ud800") == "a\\x1b[2J\\u202eb\\nc\\u2028d\\ud800"


def test_one_thing_is_singular():
    assert [counted(number, "vector") for number in (0, 1, 2000)] == ["0 vectors", "1 vector", "2,000 vectors"]
    assert [counted(number, "box", "boxes") for number in (1, 2)] == ["1 box", "2 boxes"]
