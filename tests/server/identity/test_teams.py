"""Teams: a tree without cycles, and members."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from llm_cost_ops.server.db.engine import Database
from llm_cost_ops.server.db.session import read
from llm_cost_ops.server.identity import teams
from llm_cost_ops.server.identity.fields import PersonError
from llm_cost_ops.server.identity.teams import TeamConflict, TeamUnknown
from tests.support.directory import ORGANIZATION, actor, did, organization, person, team


def test_a_team_is_what_it_was_made(database: Database) -> None:
    organization(database)
    top = team(
        database,
        "Engineering",
        description="Engineering department",
        metadata={"cost_center": "CC-ENG-001"},
        external_id="g1",
    )
    ann = person(database)
    low = team(database, "ML Team", parent_id=top.id, team_id="ml", members=[ann.id])
    with read(database) as session:
        assert teams.get_team(session, ORGANIZATION, top.id) == top
        assert teams.find_team(session, ORGANIZATION, "Engineering") == top
        assert teams.find_team(session, ORGANIZATION, "ml") == teams.known_team(
            session, ORGANIZATION, low.id
        )
        assert teams.get_team(session, "org-other", top.id) is None
        assert teams.members_of(session, ORGANIZATION, "ml") == [ann.id]
        assert teams.teams_of(session, ORGANIZATION, [ann.id]) == {ann.id: ("ml",)}
        assert teams.teams_of(session, ORGANIZATION, []) == {}
        names = [each.name for each in teams.all_teams(session, ORGANIZATION)]
        assert names == ["Engineering", "ML Team"]
        below = teams.list_teams(session, ORGANIZATION, limit=5, parent_id=top.id)
        assert [each.id for each in below] == ["ml"]
        found = teams.list_teams(session, ORGANIZATION, limit=5, search="ENGIN", after="")
        assert found == [top]


@pytest.mark.parametrize(
    ("new", "error", "field"),
    [
        ({"name": ""}, PersonError, "name"),
        ({"name": "a\nb"}, PersonError, "name"),
        ({"name": "ml"}, TeamConflict, "name"),
        ({"name": "x", "team_id": "ml"}, TeamConflict, "team_id"),
        ({"name": "x", "team_id": " x"}, PersonError, "team_id"),
        ({"name": "x", "parent_id": "nobody"}, PersonError, "parent_id"),
        ({"name": "x", "team_id": "x", "parent_id": "x"}, PersonError, "parent_id"),
        ({"name": "x", "members": ["nobody"]}, PersonError, "members"),
        ({"name": "x", "description": "x" * 2001}, PersonError, "description"),
    ],
)
def test_what_cannot_be_made(
    database: Database, new: dict[str, Any], error: Any, field: str
) -> None:
    organization(database)
    team(database, "ml", team_id="ml")
    with pytest.raises(error) as caught:
        team(database, **new)
    assert caught.value.field == field
    with read(database) as session:
        assert len(teams.all_teams(session, ORGANIZATION)) == 1


def test_the_tree_has_no_cycle(database: Database) -> None:
    organization(database)
    for name, above in (("a", None), ("b", "a"), ("c", "b"), ("d", None)):
        team(database, name, team_id=name, parent_id=above)
    for above in ("a", "b", "c"):
        with pytest.raises(PersonError):
            did(database, teams.update_team, "a", {"parent_id": above})
    moved = did(database, teams.update_team, "b", {"parent_id": "d"})
    assert (moved.parent_id, moved.version) == ("d", 2)
    with read(database) as session:
        parents = teams.parents_of(session, ORGANIZATION)
    assert parents == {"a": None, "b": "d", "c": "b", "d": None}
    assert teams.below(parents, "d") == {"b", "c", "d"}
    assert did(database, teams.update_team, "b", {"parent_id": None}).parent_id is None


def test_the_tree_is_not_too_deep(database: Database) -> None:
    organization(database)
    above = None
    for level in range(teams.MAX_DEPTH):
        above = team(database, f"t{level}", team_id=f"t{level}", parent_id=above).id
    with pytest.raises(PersonError):
        team(database, "deeper", parent_id=above)
    team(database, "top", team_id="top")
    with pytest.raises(PersonError):
        did(database, teams.update_team, "t0", {"parent_id": "top"})
    did(database, teams.update_team, "t1", {"parent_id": "top"})


def test_two_moves_at_once_make_no_cycle(database: Database) -> None:
    organization(database)
    for name in ("a", "b"):
        team(database, name, team_id=name)
    start = threading.Barrier(2)
    refused: list[str] = []

    def move(name: str, above: str) -> None:
        start.wait()
        try:
            did(database, teams.update_team, name, {"parent_id": above})
        except PersonError:
            refused.append(name)

    racers = [threading.Thread(target=move, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(refused) == 1


def test_what_is_not_named_stays(database: Database) -> None:
    organization(database)
    made = team(database, description="d", metadata={"a": 1})
    changed = did(database, teams.update_team, made.id, {"name": "ML"}, version=1)
    assert (changed.name, changed.description, changed.metadata) == ("ML", "d", {"a": 1})
    with pytest.raises(TeamConflict):
        did(database, teams.update_team, made.id, {"name": "x"}, version=1)
    assert did(database, teams.update_team, made.id, {"name": "ML"}) == changed
    team(database, "other")
    for wrong, error in (({"name": "other"}, TeamConflict), ({"id": "x"}, PersonError)):
        with pytest.raises(error):
            did(database, teams.update_team, made.id, wrong)
    with pytest.raises(TeamUnknown):
        did(database, teams.update_team, "team_0", {"name": "x"})


def test_members(database: Database) -> None:
    organization(database)
    organization(database, "org-other")
    made = team(database)
    ann, bob, cy = (person(database, name).id for name in ("ann", "bob", "cy"))
    foreign = person(database, who=actor("org-other")).id
    assert did(database, teams.add_members, made.id, [bob, ann, bob]) == sorted([ann, bob])
    assert did(database, teams.add_members, made.id, [ann]) == []
    with pytest.raises(PersonError):
        did(database, teams.add_members, made.id, [cy, foreign])
    did(database, teams.set_members, made.id, [ann, cy])
    assert did(database, teams.remove_members, made.id, [bob, "nobody"]) == []
    assert did(database, teams.remove_members, made.id, [ann]) == [ann]
    with read(database) as session:
        assert teams.members_of(session, ORGANIZATION, made.id) == [cy]
        assert teams.known_team(session, ORGANIZATION, made.id).version > made.version
    for verb in (teams.add_members, teams.remove_members):
        with pytest.raises(TeamUnknown):
            did(database, verb, "team_0", [ann])


def test_removed_when_nothing_is_below(database: Database) -> None:
    organization(database)
    top = team(database, "top", members=[person(database).id])
    low = team(database, "low", parent_id=top.id)
    with pytest.raises(TeamConflict):
        did(database, teams.delete_team, top.id)
    for each in (low, top):
        did(database, teams.delete_team, each.id)
    with pytest.raises(TeamUnknown):
        did(database, teams.delete_team, top.id)
    with read(database) as session:
        assert teams.members_of(session, ORGANIZATION, top.id) == []
