"""`AdminClient` against a real server, and the documents' blocks about people as printed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_cost_ops import AdminClient, AsyncAdminClient, CostOpsClient
from llm_cost_ops.client.rows import Team, User
from llm_cost_ops.exceptions import ConflictError, NotFoundError, ValidationError
from llm_cost_ops.server.settings import EmailSettings
from tests.docs.place import Place, redirected
from tests.docs.snippets import SEEDS, snippets
from tests.support.live import LiveServer, local, serving, sqlite_at


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that has mail, to which nobody listens: welcomes are queued."""
    folder = tmp_path_factory.mktemp("people")
    settings = local(sqlite_at(folder), public_url="https://costs.example.com")
    mail = EmailSettings(smtp_host="127.0.0.1", smtp_port=9, from_address="ops@example.com")
    with serving(replace(settings, email=mail), folder) as made:
        yield made


@pytest.fixture
def place(server: LiveServer) -> Place:
    organization, key = server.new_organization()
    return Place(server.base_url, key, {"org-abc": organization})


@pytest.fixture
def admin(place: Place) -> Iterator[AdminClient]:
    with AdminClient(place.api_key, place.base_url, max_retries=0) as made:
        yield made


def test_users(admin: AdminClient) -> None:
    user = admin.users.create(email="ann@example.com", name="Ann Lee", role="analyst")
    assert isinstance(user, User)
    assert (user.temporary_password, user.is_active, user.roles) == (None, True, ["analyst"])
    assert user.created_at.isoformat() == user.updated_at.isoformat()
    assert admin.users.get(user.id) == user
    assert [each.id for each in admin.users.list(role="analyst", active=True)] == [user.id]
    assert admin.users.update(user.id, first_name="Ann", last_name="Lee").last_name == "Lee"
    assert not admin.users.disable(user.id).is_active
    assert admin.users.enable(user.id).is_active
    assert admin.users.send_welcome_email(user.id).status == "queued"
    report = admin.users.import_csv("email,role\nbob@example.com,viewer\nx,viewer", dry_run=True)
    assert (report.valid, report.failed) == (1, 1)
    with pytest.raises(ConflictError):
        admin.users.create("ann@example.com")
    with pytest.raises(ValidationError):
        admin.users.create("nobody")
    admin.users.delete(user.id)
    with pytest.raises(NotFoundError):
        admin.users.get(user.id)


def test_teams_and_structure(admin: AdminClient) -> None:
    admin.users.create("ann@example.com")
    top = admin.teams.create("Engineering", budget=50000)
    low = admin.teams.create("ML", parent_id=top.id, budget="1.5", members=["ann@example.com"])
    assert isinstance(low, Team)
    assert admin.budgets.get(str(low.budget_id)).parent_id == top.budget_id
    assert [each.email for each in admin.teams.members(low.id)] == ["ann@example.com"]
    assert [each.id for each in admin.teams.tree()[0].children] == [low.id]
    assert admin.teams.move(low.id, None).parent_id is None
    assert admin.teams.update(low.id, description="x").description == "x"
    (ann,) = admin.teams.add_members(low.id, ["ann@example.com"])
    admin.teams.remove_member(low.id, ann.id)
    assert len(admin.teams.list(search="ml")) == 1
    admin.teams.delete(low.id)
    with pytest.raises(NotFoundError):
        admin.teams.get(low.id)
    robot = admin.service_accounts.create("robot")
    assert [each.id for each in admin.service_accounts.list()] == [robot.id]
    assert admin.service_accounts.get(robot.id).kind == "service"
    assert not admin.service_accounts.disable(robot.id).is_active
    assert admin.service_accounts.enable(robot.id).is_active
    admin.service_accounts.delete(robot.id)
    admin.costs.create(model="gpt-4", cost=1, tokens_used=1, project_id="chat", provider="openai")
    assert admin.projects.update("chat", "Chat").name == "Chat"
    assert admin.projects.set_revenue("chat", "2025-11", "12.5").amount == 12.5
    assert [each.period for each in admin.projects.revenue("chat")] == ["2025-11"]
    assert [each.id for each in admin.projects.list()] == ["chat"]


def test_organizations_and_invitations(admin: AdminClient) -> None:
    own = admin.organizations.current()
    assert [each.id for each in admin.organizations.list()] == [own.id]
    changed = admin.organizations.update(own.id, fiscal_year_start_month=4)
    assert admin.organizations.get(own.slug).fiscal_year_start_month == 4
    assert changed.settings == {"fiscal_year_start_month": 4}
    user = admin.organizations.add_user(own.id, "ann@example.com", "developer")
    assert [each.id for each in admin.organizations.users(own.id)] == [user.id]
    admin.organizations.remove_user(own.id, user.id)
    made = admin.invitations.create("bob@example.com", "viewer")
    assert (made.state, made.mail) == ("pending", "queued")
    assert [each.id for each in admin.invitations.list()] == [made.id]
    assert admin.invitations.revoke(made.id).state == "revoked"


async def _asynchronously(place: Place) -> tuple[Any, ...]:
    async with AsyncAdminClient(place.api_key, place.base_url) as admin:
        user = await admin.users.create("ann@example.com")
        team = await admin.teams.create("ML", members=[user.id])
        robot = await admin.service_accounts.create("robot")
        invited = await admin.invitations.create("bob@example.com", "viewer")
        own = await admin.organizations.current()
        projects = await admin.projects.list()
        members = await admin.teams.members(team.id)
        return (
            [each.id for each in members] == [user.id],
            robot.kind,
            invited.state,
            [*projects],
            own.id,
        )


def test_asynchronously(place: Place) -> None:
    found = asyncio.run(_asynchronously(place))
    assert found == (True, "service", "pending", [], place.ids["org-abc"])


Names = dict[str, Any]


def _team_123(admin: AdminClient) -> None:
    admin.teams.create("Team 123", team_id="team-123")


def _six(admin: AdminClient) -> None:
    for number in range(1, 7):
        admin.users.create(f"user{number}@example.com")


def _file(admin: AdminClient) -> None:
    _team_123(admin)
    Path("users.csv").write_text(
        "email,name,role,teams,department,manager\n"
        "ann@example.com,Ann,analyst,team-123,Engineering,boss@example.com\n"
        "nobody,B,analyst,,,\n"
    )


def _made(admin: AdminClient, names: Names) -> None:
    user = admin.users.get(names["user"].id)
    assert (user.email, user.roles, user.teams) == ("user@example.com", ["analyst"], ["team-123"])
    assert user.metadata == {"department": "Engineering", "cost_center": "CC-001"}


def _imported(admin: AdminClient, _names: Names) -> None:
    assert [each.email for each in admin.users.list()] == ["ann@example.com"]


def _built(admin: AdminClient, names: Names) -> None:
    (top,) = admin.teams.tree()
    assert sorted(each.name for each in top.children) == [
        "Backend Team",
        "Frontend Team",
        "ML Team",
    ]
    assert admin.budgets.get(names["engineering"].budget_id).amount == 50000
    assert len(admin.teams.members(names["ml_team"].id)) == 2


SNIPPETS: dict[str, tuple[Callable[[AdminClient], None], Callable[[AdminClient, Names], None]]] = {
    "administrator-guide#3": (_team_123, _made),
    "administrator-guide#4": (_file, _imported),
    "administrator-guide#5": (_six, _built),
}


@pytest.mark.skipif(not SEEDS.exists(), reason="the documents are not here")
@pytest.mark.parametrize("key", SNIPPETS)
def test_the_documents_blocks(
    key: str,
    admin: AdminClient,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    before, then = SNIPPETS[key]
    monkeypatch.chdir(tmp_path)
    before(admin)
    code = next(each.code for each in snippets() if each.key == key)
    names: Names = {"AdminClient": AdminClient}
    with redirected(place, monkeypatch):
        exec(compile(code, key, "exec", dont_inherit=True), names)  # noqa: S102
    then(admin, names)


@pytest.mark.skipif(not SEEDS.exists(), reason="the documents are not here")
def test_the_documents_blocks_about_organizations(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(server.base_url, server.api_key, {"org-abc": server.organization_id})
    with AdminClient(place.api_key, place.base_url) as admin, redirected(place, monkeypatch):
        removed = admin.users.create("u@example.com", user_id="user-123")
        with CostOpsClient() as client:
            for key in ("cheat-sheet#24", "cheat-sheet#25"):
                code = next(each.code for each in snippets() if each.key == key)
                names: Names = {"client": client}
                exec(compile(code, key, "exec", dont_inherit=True), names)  # noqa: S102
                if key.endswith("24"):
                    assert (names["org"].id, names["org"].slug) == ("org-acme-corp", "acme-corp")
        (left,) = admin.users.list()
        assert (left.email, left.roles) == ("user@example.com", ["developer"])
        assert left.id != removed.id


def test_single_sign_on(admin: AdminClient, place: Place) -> None:
    with pytest.raises(ConflictError):
        admin.sso.require()
    wanted = {"kind": "google", "name": "Works", "client_id": "x", "domains": ["example.com"]}
    made = admin.sso.create(**wanted, client_secret="secret")
    assert admin.sso.get(made["id"]) == made
    assert admin.sso.list() == [made]
    assert admin.sso.update(made["id"], name="Other")["name"] == "Other"
    assert admin.sso.require() is admin.sso.required() is True
    assert admin.sso.require(False) is admin.sso.required() is False

    async def again() -> None:
        async with AsyncAdminClient(place.api_key, place.base_url, max_retries=0) as other:
            second = await other.sso.create(**wanted)
            assert len(await other.sso.list()) == 2
            await other.sso.delete(second["id"])
            with pytest.raises(NotFoundError):
                await other.sso.get(second["id"])

    asyncio.run(again())
    admin.sso.delete(made["id"])
    assert admin.sso.list() == []
