"""Another secret for an OAuth client: the one before ends at once, and it gives no more power."""

from __future__ import annotations

from sqlalchemy import select

from llm_cost_ops import AsyncCostOpsClient
from llm_cost_ops.server.audit.tables import audit_log
from llm_cost_ops.server.db.session import read
from tests.support.application import Application
from tests.support.oauth import CLIENTS, Flow, error_of

SERVICE = {"grant_types": ["client_credentials"], "redirect_uris": []}


def rotated(application: Application, client_id: str, key: str = "") -> tuple[int, dict[str, str]]:
    answer = application.post(f"{CLIENTS}/{client_id}/rotate", key=key)
    return answer.status_code, answer.json()


def test_the_old_secret_ends_and_tokens_go_on(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application, **SERVICE)
    token = flow.token(grant_type="client_credentials").json()["access_token"]
    status, made = rotated(sqlite_application, flow.client["client_id"])
    assert status == 200
    assert error_of(flow.token(grant_type="client_credentials")) == (401, "invalid_client")
    flow.client["client_secret"] = made["client_secret"]
    assert flow.token(grant_type="client_credentials").status_code == 200
    assert flow.status(token) == 200
    with read(sqlite_application.database) as session:
        told = session.execute(
            select(audit_log).where(audit_log.c.action == "auth.oauth_client.secret_rotated")
        ).all()
    assert len(told) == 1
    assert made["client_secret"] not in str(told)


def test_who_may_less_does_not_learn_the_secret(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application, **SERVICE, scopes=["write:costs"])
    key = sqlite_application.new_key("write:api_keys")
    status, refused = rotated(sqlite_application, flow.client["client_id"], key)
    assert (status, refused["error"]["code"]) == (403, "INSUFFICIENT_PERMISSIONS")  # type: ignore[index]
    assert flow.token(grant_type="client_credentials").status_code == 200
    enough = sqlite_application.new_key("write:api_keys", "write:costs")
    assert rotated(sqlite_application, flow.client["client_id"], enough)[0] == 200


def test_a_public_client_has_none(sqlite_application: Application) -> None:
    flow = Flow(sqlite_application, public=True)
    assert rotated(sqlite_application, flow.client["client_id"])[0] == 422
    assert rotated(sqlite_application, "cli_unknown")[0] == 404


def test_the_sdk(sqlite_application: Application) -> None:
    async def work() -> None:
        client = AsyncCostOpsClient(
            sqlite_application.key, "http://test", http_client=sqlite_application.client
        )
        made = await client.oauth_clients.create(
            "reports", ["read:costs"], grant_types=["client_credentials"]
        )
        assert [row.client_id for row in await client.oauth_clients.list()] == [made.client_id]
        again = await client.oauth_clients.rotate_secret(made.client_id)
        assert made.client_secret != again.client_secret
        found = await client.oauth_clients.get(made.client_id)
        assert "client_secret" not in found.to_dict()
        await client.oauth_clients.delete(made.client_id)
        assert await client.oauth_clients.list() == []

    sqlite_application.portal.call(work)
