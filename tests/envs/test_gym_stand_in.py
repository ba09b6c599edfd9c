import sys
import types

from envs.adapters import gym_stand_in


def test_it_stands_in_only_where_gym_is_absent(monkeypatch):
    monkeypatch.delitem(sys.modules, "gym", raising=False)
    monkeypatch.delitem(sys.modules, "gym.spaces", raising=False)
    gym_stand_in.install()
    import gym

    assert gym.spaces.Box is sys.modules["gym.spaces"].Box
    gym_stand_in.install()
    assert sys.modules["gym"] is gym

    other = types.ModuleType("gym")
    monkeypatch.setitem(sys.modules, "gym", other)
    gym_stand_in.install()
    assert sys.modules["gym"] is other
