import polars as pl

from cyberterr.flows.services import Services

HERE, THERE = ("10.0.0.1", 40000), ("10.0.0.2", 443)


def flows(*rows):
    columns = ("flow_id", "src_ip", "src_port", "dst_ip", "dst_port", "end_reason")
    table = pl.DataFrame([(n, *src, *dst, why) for n, src, dst, why in rows], columns, orient="row")
    return table.with_columns(protocol=pl.lit(6))


def test_a_flow_gets_the_service_that_was_recognised_and_others_none():
    services = Services()
    services.note(2, "tls")
    named = services.named(flows((1, HERE, THERE, "idle"), (2, HERE, THERE, "idle")))
    assert named["service"].to_list() == [None, "tls"]


def test_a_flow_that_the_active_time_out_cut_keeps_its_service_in_every_part():
    services = Services()
    services.note(1, "tls")
    first = services.named(flows((1, HERE, THERE, "active"), (2, HERE, THERE, "active")))
    last = services.named(flows((3, THERE, HERE, "idle"), (4, HERE, THERE, "idle")))
    assert first["service"].to_list() == ["tls", "tls"]
    assert last["service"].to_list() == ["tls", None]


def test_what_is_recognised_anew_wins_over_what_was():
    services = Services()
    services.note(1, "http")
    services.note(2, "tls")
    named = services.named(flows((1, HERE, THERE, "active"), (2, HERE, THERE, "idle")))
    assert named["service"].to_list() == ["http", "tls"]


def test_how_many_cut_flows_are_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr("cyberterr.flows.services._MAX_CUT", 10)
    services = Services()
    for number in range(50):
        services.note(number, "tls")
        services.named(flows((number, ("10.0.0.1", number), THERE, "active")))
    later = flows(*((100 + n, ("10.0.0.1", n), THERE, "idle") for n in range(50)))
    assert services.named(later)["service"].null_count() == 40
