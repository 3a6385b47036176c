"""A provider of the settings: whom it lets in, and whom it does not."""

from __future__ import annotations

from sqlalchemy import update

from llm_cost_ops.server.db.session import write
from llm_cost_ops.server.settings import DatabaseSettings, Settings, SsoSettings
from llm_cost_ops.server.signin.tables import identity_providers
from tests.server.signin.sso.test_sign_in import logged, refused
from tests.support.people import PASSWORD, add_to, column, doors_of, make_person, totp
from tests.support.sso import EMAIL, House, house_of, installed_of


class TestInstalled:
    """A provider of the settings, which whoever runs the installation trusts."""

    def test_an_account_wherever_it_belongs(self, sqlite_settings: DatabaseSettings) -> None:
        with installed_of(sqlite_settings) as house:
            person = make_person(house.doors, "viewer", email=EMAIL, password=None)
            other = house.doors.other()
            add_to(other, person, "viewer")
            assert (
                'href="/login/sso/oidc?next=%2Faccount"' in house.doors.browser().get("/login").text
            )
            browser = house.entered("oidc")
            assert column(house.doors, "email_verified_at", person) is not None
            answer = browser.post("/switch-org", {"organization": other.organization_id})
            assert answer.status_code == 200
            house.person(email="bob@example.com")
            house.entered("oidc")
            house.person("sub-2", "nobody@example.com")
            refused(house.sign_in("oidc")[1], "no user of this organization")
            house.person("sub-2", "ann@example.org")
            refused(house.sign_in("oidc")[1], "of your domain")

    def test_an_unproven_password_keeps_the_account_apart(
        self, sqlite_settings: DatabaseSettings
    ) -> None:
        with installed_of(sqlite_settings) as house:
            person = make_person(house.doors, "viewer", email=EMAIL)
            refused(house.sign_in("oidc")[1], "never proven")
            assert column(house.doors, "email_verified_at", person) is None

    def test_somebody_new(self, sqlite_settings: DatabaseSettings) -> None:
        with installed_of(sqlite_settings, organization="missing") as house:
            refused(house.sign_in("oidc")[1], "no user of this organization")
        with doors_of(Settings(database=sqlite_settings)) as doors:
            place = doors.organization_id
        with installed_of(sqlite_settings, organization=place, role="analyst") as house:
            assert house.entered("oidc").me().json()["organization"]["id"] == place

    def test_our_second_factor_where_it_is_asked_for(
        self, sqlite_settings: DatabaseSettings
    ) -> None:
        for sections in ({}, {"sso": SsoSettings(ask_second_factor=True)}):
            with house_of(sqlite_settings, **sections) as house:
                person = make_person(house.doors, "viewer", email=f"{len(sections)}{EMAIL}")
                house.person(email=person.email)
                own = house.doors.browser()
                own.login(person)
                secret = own.post("/2fa/enroll", {"password": PASSWORD}).json()["secret"]
                code = totp(secret, house.doors.clock)
                assert own.post("/2fa/confirm", {"totp": code}).status_code == 200
                browser, answer = house.sign_in(house.provider()["id"])
                assert answer.status_code == 303
                if not sections:
                    assert browser.me().status_code == 200
                    continue
                assert answer.headers["location"] == "/login/2fa?next=/account"
                assert browser.me().status_code == 401
                step = browser.open("/login/2fa")
                later = totp(secret, house.doors.clock, 1)
                done = step.send("/login/2fa", code=later)
                assert "identity provider signed you in" in done.text
                (entry, *_) = logged(house, "auth.login")
                assert entry["after"]["method"] == "single sign-on and code"
                house.later(60)
                browser, _ = house.sign_in(house.provider(name="other")["id"])
                step = browser.open("/login/2fa")
                _set_enabled(house, False)
                step.send("/login/2fa", code=totp(secret, house.doors.clock))
                assert browser.me().status_code == 401


def _set_enabled(house: House, enabled: bool) -> None:
    with write(house.doors.database) as session:
        session.execute(update(identity_providers).values(enabled=int(enabled)))
