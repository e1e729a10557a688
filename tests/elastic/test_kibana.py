"""What is handed to Kibana, by whom, and what its answers mean."""

from __future__ import annotations

import base64
import json

import pytest
import trustme

from cyberterr.config import Elastic
from cyberterr.elastic.kibana import send, uploads
from cyberterr.elastic.refusal import ClusterError
from cyberterr.errors import UsageError
from tests.elastic.kibana import CONFLICT, RULE_REFUSED, a_kibana, file_of

DASHBOARD = {"id": "cyberterr-triage", "type": "dashboard", "title": "Tri été"}
RULE = {"rule_id": "cyberterr-findings"}
KEY = "CYBERTERR_TEST_KEY"


def lines(*objects: dict[str, str]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in objects)


def hand_over(url: str, settings: Elastic = Elastic(), space: str = "default") -> int:  # noqa: B008  (frozen)
    made = uploads(space, lines(DASHBOARD, DASHBOARD), lines(RULE))
    return sum(send(url, upload, settings, key_variable=KEY) for upload in made)


def test_objects_and_rules_arrive_as_files_of_their_interfaces():
    with a_kibana() as (url, asked):
        assert hand_over(url) == 8
    paths, headers, bodies = zip(*asked, strict=True)
    assert paths == (
        "/api/saved_objects/_import?overwrite=true",
        "/api/detection_engine/rules/_import?overwrite=true",
    )
    assert all(sent["kbn-xsrf"] and "authorization" not in sent for sent in headers)
    assert file_of(headers[0], bodies[0]) == [DASHBOARD, DASHBOARD]
    assert file_of(headers[1], bodies[1]) == [RULE]


def test_a_space_is_part_of_the_path_whatever_it_is_called():
    with a_kibana() as (url, asked):
        hand_over(url, space="../a b")
    assert {path.split("/api/")[0] for path, _, _ in asked} == {"/s/..%2Fa%20b"}


def test_a_user_or_a_key_says_who_we_are(tmp_path, monkeypatch):
    file = tmp_path / "password"
    file.write_text("pass:word")
    file.chmod(0o600)
    settings = Elastic(user="elastic", password_file=str(file))
    with a_kibana() as (url, asked):
        hand_over(url, settings)
        monkeypatch.setenv(KEY, "YWRtaW4=")
        hand_over(url, settings)
    basic = base64.b64encode(b"elastic:pass:word").decode()
    assert [headers["authorization"] for _, headers, _ in asked] == [
        f"Basic {basic}",
        f"Basic {basic}",
        "ApiKey YWRtaW4=",
        "ApiKey YWRtaW4=",
    ]


@pytest.mark.parametrize(
    ("answers", "words", "kind"),
    [
        ({"objects": (200, CONFLICT)}, "1: cyberterr-triage: missing_references", "rejected"),
        ({"rules": (200, RULE_REFUSED)}, "cyberterr-findings: bad query", "rejected"),
        ({"objects": (401, {"message": "not today"})}, "HTTP 401: not today", "refused"),
        ({"objects": (403, {"message": "Forbidden"})}, "HTTP 403: Forbidden", "refused"),
        ({"objects": (503, "Kibana server is not ready yet")}, "HTTP 503", "weather"),
        ({"objects": (302, "")}, "HTTP 302", "rejected"),
        ({"objects": (404, "<html>")}, "HTTP 404", "rejected"),
        ({"objects": (200, "<html>")}, "is no Kibana", "wrong_server"),
        ({"objects": (200, [])}, "is no Kibana", "wrong_server"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_kibana_does_not_take_is_an_error_in_its_words(answers, words, kind):
    with a_kibana(**answers) as (url, _), pytest.raises(ClusterError) as error:
        hand_over(url)
    assert words in error.value.message
    assert (error.value.kind, error.value.exit_code) == (kind, 5)


def test_nobody_listening_is_weather():
    with pytest.raises(ClusterError, match="Kibana cannot be reached") as error:
        hand_over("http://127.0.0.1:9")
    assert error.value.kind == "weather"


def test_keys_do_not_leave_this_machine_in_clear():
    with pytest.raises(UsageError, match="plain http"):
        hand_over("http://10.20.0.5:5601")


def test_kibana_is_trusted_by_its_authority_only(tmp_path):
    ours, strange = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")
    settings = Elastic(ca=str(tmp_path / "ca.pem"))
    with a_kibana(certificate=ours.issue_cert("127.0.0.1")) as (url, _):
        assert hand_over(url, settings) == 8
    with (
        a_kibana(certificate=strange.issue_cert("127.0.0.1")) as (url, asked),
        pytest.raises(ClusterError, match="certificate is not trusted") as error,
    ):
        hand_over(url, settings)
    assert error.value.kind == "refused"
    assert asked == []
