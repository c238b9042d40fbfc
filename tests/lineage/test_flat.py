from dbot.lineage.flat import first_difference, flattened


def test_keys_are_dotted_and_lists_are_values() -> None:
    assert flattened({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": {}}) == {"a.b": 1, "a.c.d": [1, 2], "e": {}}


def test_the_first_difference_has_its_key() -> None:
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 1}}) is None
    assert first_difference({"a": {"b": 1}, "c": 0}, {"a": {"b": 2}, "c": 1}) == ("a.b", 1, 2)
    assert first_difference({"a": None}, {}) == ("a", None, None)
    assert first_difference({}, {"a": 3}) == ("a", None, 3)
