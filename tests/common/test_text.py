from denseil.common.text import plain


def test_spaces_of_any_width_are_kept_and_controls_escaped():
    assert plain("30:00, 16\u00a0s 東京\u3000駅") == "30:00, 16\u00a0s 東京\u3000駅"
    assert plain("a\x1b[2J\u202eb\nc\u2028d\ud800") == "a\\x1b[2J\\u202eb\\nc\\u2028d\\ud800"
