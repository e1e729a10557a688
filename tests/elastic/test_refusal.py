"""What an answer means, by the answers that Elasticsearch 8.19.16 and 9.2.0 really gave."""

import pytest

from cyberterr.elastic.refusal import outcome, refusal

BLOCKED = {"type": "cluster_block_exception", "reason": "index [x] blocked by: [FORBIDDEN/8/…]"}
PRIVILEGE = {"type": "security_exception", "reason": "action [indices:data/write] is unauthorized"}
OVERLOAD = {"type": "es_rejected_execution_exception", "reason": "rejected execution of …"}
MAPPING = {
    "type": "document_parsing_exception",
    "reason": "failed to parse field [source.ip]",
    "caused_by": {"type": "illegal_argument_exception", "reason": "'x' is not an IP string"},
}
TOO_NEW = {"type": "media_type_header_exception", "reason": "Accept version must be either …"}


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"status": 201}, "delivered"),
        ({"status": 200}, "delivered"),
        ({"status": 409, "error": {"type": "version_conflict_engine_exception"}}, "delivered"),
        ({"status": 201, "failure_store": "not_applicable_or_unknown"}, "delivered"),
        ({"status": 201, "failure_store": "used"}, "rejected"),
        ({"status": 400, "error": MAPPING}, "rejected"),
        ({"status": 404, "error": {"type": "index_not_found_exception"}}, "refused"),
        ({"status": 403, "error": BLOCKED}, "weather"),
        ({"status": 429, "error": BLOCKED}, "weather"),
        ({"status": 429, "error": OVERLOAD}, "weather"),
        ({"status": 503, "error": {"type": "unavailable_shards_exception"}}, "weather"),
        ({"status": 403, "error": PRIVILEGE}, "refused"),
        ({"status": 401, "error": PRIVILEGE}, "refused"),
    ],
)
def test_one_document_of_many_is_delivered_waits_stops_us_or_is_rejected(item, kind):
    assert outcome(item).kind == kind


def test_a_rejected_document_says_which_field_and_why():
    reason = outcome({"status": 400, "error": MAPPING}).reason
    assert "source.ip" in reason
    assert "'x' is not an IP string" in reason


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, {"error": BLOCKED}, "weather"),
        (403, {"error": PRIVILEGE}, "refused"),
        (401, {"error": PRIVILEGE}, "refused"),
        (429, {"error": OVERLOAD}, "weather"),
        (502, "Bad Gateway", "weather"),
        (503, None, "weather"),
        (413, None, "too_large"),
        (404, {"error": {"type": "index_not_found_exception"}}, "rejected"),
        (405, {"error": "Incorrect HTTP method for uri [/] and method [GET]"}, "rejected"),
        (400, {"error": TOO_NEW}, "wrong_server"),
        (406, {"error": "Content-Type header […] is not supported", "status": 406}, "wrong_server"),
    ],
)
def test_a_whole_request_is_refused_for_one_of_five_kinds_of_reason(status, body, kind):
    error = refusal(status, body, where="https://elastic.mairie.example:9200")
    assert error.kind == kind
    assert error.exit_code == 5
    assert error.where == "https://elastic.mairie.example:9200"


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), (None, 0), ("Wed, 21 Oct 2026", 0)])
def test_the_time_that_a_server_asks_to_wait_is_kept(header, seconds):
    assert refusal(429, None, where="x", retry_after=header).retry_after_s == seconds


def test_a_client_that_is_too_new_is_told_which_one_to_install():
    assert 'pip install "elasticsearch<9"' in refusal(400, {"error": TOO_NEW}, where="x").hint


@pytest.mark.parametrize("body", [None, "", "<html>", [], {}, {"error": None}])
def test_an_answer_that_makes_no_sense_still_gives_a_sentence(body):
    assert "HTTP 400" in refusal(400, body, where="x").message
