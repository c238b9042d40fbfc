from dbot.lineage.receipt import differences, flattened


def test_keys_are_dotted_and_lists_are_values() -> None:
    assert flattened({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": {}}) == {"a.b": 1, "a.c.d": [1, 2], "e": {}}


def test_differences_have_their_keys() -> None:
    assert list(differences({"a": {"b": 1}}, {"a": {"b": 1}})) == []
    assert list(differences({"a": {"b": 1}, "c": 0}, {"a": {"b": 2}, "c": 1})) == [("a.b", 1, 2), ("c", 0, 1)]
    assert list(differences({"a": None}, {})) == [("a", None, None)]
    assert list(differences({}, {"a": 3})) == [("a", None, 3)]
