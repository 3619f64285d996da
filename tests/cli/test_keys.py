"""`holotype key`: keys made on the data directory, which a server then takes; the way in when all are lost."""

import httpx
import pytest

from service.cli.failures import IN_USE, NOT_FOUND, WRONG_USE
from tests.cli.conftest import running_server
from tests.cli.test_serve import serving


def asks(url, key, path="/v1/tenants"):
    return httpx.get(f"{url}{path}", headers={"Authorization": f"Bearer {key}"}).status_code


def test_a_lost_admin_key_is_replaced_on_the_data_directory(holotype, data_dir):
    with serving(data_dir) as (_, ready):
        lost = ready["admin_key"]
        code, refused = holotype("key", "create", "mine", "--scope", "admin")
        assert (code, refused["error"]["type"]) == (IN_USE, "DataDirectoryInUse")
    code, made = holotype("key", "create", "mine", "--scope", "read", "--scope", "admin")
    assert (code, made["scopes"], made["tenant"], made["works"]) == (0, ["read", "admin"], "default", True)
    code, listed = holotype("key", "list")
    assert [one["id"] for one in listed] == [lost.split("_")[1], made["id"]]
    assert not any("key" in one or "secret_sha256" in one for one in listed)
    code, ended = holotype("key", "revoke", lost.split("_")[1])
    assert (code, ended["works"]) == (0, False)
    with serving(data_dir) as (_, again):
        assert again["admin_key"] is None
        assert [asks(again["url"], key) for key in (made["key"], lost)] == [200, 401]


def test_a_key_may_be_made_for_a_tenant_that_is_not_there_yet(holotype):
    _, made = holotype("key", "create", "till", "--tenant", "acme", "--scope", "write")
    assert (made["tenant"], made["scopes"]) == ("acme", ["write"])
    assert holotype("key", "list", "--tenant", "acme")[1][0]["name"] == "till"


@pytest.mark.parametrize(
    ("given", "told"),
    [((), "a key needs a scope"), (("--scope", "root"), "no scope 'root'"), (("--scope", "read,write"), "no scope")],
)
def test_scopes_that_are_none_are_told(holotype, given, told):
    code, value = holotype("key", "create", "till", *given)
    assert (code, told in value["error"]["message"]) == (WRONG_USE, True)
    assert "--scope read" in value["error"]["message"]


def test_another_tenants_key_and_the_last_admin_key_are_not_revoked(holotype):
    _, made = holotype("key", "create", "root", "--scope", "admin")
    assert holotype("key", "revoke", made["id"], "--tenant", "acme")[0] == NOT_FOUND
    code, value = holotype("key", "revoke", made["id"])
    assert (code, value["error"]["type"]) == (1, "LastAdminKey")


def test_keys_are_never_made_over_http(holotype_here, data_dir, monkeypatch, tmp_path):
    with running_server(tmp_path / "server") as (url, key):
        monkeypatch.setenv("HOLOTYPE_URL", url)
        monkeypatch.setenv("HOLOTYPE_KEY", key)
        for arguments in (("create", "x", "--scope", "read"), ("list",), ("revoke", "0" * 16)):
            code, value = holotype_here("key", *arguments)
            assert (code, "unset HOLOTYPE_URL" in value["error"]["message"]) == (WRONG_USE, True)
