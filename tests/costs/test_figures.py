"""Every figure of a plain case, worked out by hand from what is stated in tests/support/costs.py."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.costs import plain_case
from ticket_sentiment.costs.command import report
from ticket_sentiment.costs.figures import (
    batch,
    cost_figures,
    gpu_break_even,
    hybrid,
    month,
    options,
    rule_of_thumb_tokens,
    variants,
)
from ticket_sentiment.costs.sensitivity import sensitivity

# Two workers of 2 ms do 1,000 tickets/s; half of it is planned: 500. A vCPU pair costs 0.08925 $/h.
BUSY_THOUSAND = 0.08925 / (500 * 3600) * 1000
LOAD_BALANCER = 730 * (0.0225 + 0.008 * 1 / 25)  # one new connection a second, 25 are a unit
SPOT, RESERVED = 0.08925 * (0.9 * 0.34 + 0.1), 0.08925 * 0.62  # 66 % off in nine hours of ten; 38 % off
GPU_SPOT = 0.8048 * (0.9 * 0.51 + 0.1)


def test_the_rule_of_thumb():
    assert rule_of_thumb_tokens(37.5) == 10


def test_a_month_by_hand(tmp_path: Path):
    found = month(plain_case(tmp_path))
    assert found["machines"] == pytest.approx(2 * 0.08925 * 730)  # two run always, one would do
    assert found["load_balancer"] == pytest.approx(LOAD_BALANCER)
    assert (found["disks"], found["storage"], found["transfer"]) == (0, 0, 0)
    assert found["total"] == pytest.approx(2 * 0.08925 * 730 + LOAD_BALANCER)


def test_disks_storage_and_transfer_by_hand(tmp_path: Path):
    # a ticket a second are 2,628,000 a month; at 100 kB each 262.8 GB leave, 100 of them free
    found = month(plain_case(tmp_path, disk_gb=20.0, storage_gb=10.0, answer_kb=100.0))
    assert found["disks"] == pytest.approx(2 * 20 * 0.08)
    assert found["storage"] == pytest.approx(10 * 0.023)
    assert found["transfer"] == pytest.approx((262.8 - 100) * 0.09)
    # 100 kB a second are 0.36 GB an hour, of one a unit: more than the connections' 1 / 25
    assert found["load_balancer"] == pytest.approx(730 * (0.0225 + 0.008 * 0.36))


def test_the_ways_to_serve_by_hand(tmp_path: Path):
    found = {one["kind"]: one for one in options(plain_case(tmp_path))}
    hourly = {
        "cpu_on_demand": 0.08925, "cpu_spot": SPOT, "cpu_reserved": RESERVED,
        "gpu_on_demand": 0.8048, "gpu_spot": GPU_SPOT, "gpu_reserved": 0.8048 * 0.62,
    }  # fmt: skip
    assert set(found) == set(hourly)  # one machine is enough: nothing to mix
    for kind, usd in hourly.items():
        total = 2 * usd * 730 + LOAD_BALANCER
        assert found[kind]["usd_per_month"] == pytest.approx(total)
        assert found[kind]["usd_per_thousand_tickets"] == pytest.approx(total / 2628)
        assert found[kind]["usd_per_million_tokens_tokenizer"] == pytest.approx(total / (2.628 * 20))
        assert found[kind]["usd_per_million_tokens_rule_of_thumb"] == pytest.approx(total / (2.628 * 24))
    busy = found["cpu_spot"]["always_busy"]["usd_per_thousand_tickets"]
    assert busy == pytest.approx(SPOT / (500 * 3600) * 1000)
    # the assumed GPU does a fifth of the CPU's tickets a dollar
    busy = found["gpu_on_demand"]["always_busy"]["usd_per_thousand_tickets"]
    assert busy == pytest.approx(5 * BUSY_THOUSAND)


def test_what_is_reserved_is_paid_in_quiet_hours_too(tmp_path: Path):
    # 40 times a ticket a second from noon on only: 80 machines' worth, 2 at night
    profile = tmp_path / "p.csv"
    profile.write_text(
        "hour,tickets\n" + "".join(f"{h},{0 if h < 12 else 40_000 * 3600}\n" for h in range(24))
    )
    case = plain_case(tmp_path, profile=str(profile), tickets_per_day=None)
    found = {one["kind"]: one for one in options(case)}
    beside = month(case)["load_balancer"]
    assert found["cpu_on_demand"]["usd_per_month"] - beside == pytest.approx(41 * 0.08925 * 730)
    assert found["cpu_reserved"]["usd_per_month"] - beside == pytest.approx(80 * RESERVED * 730)
    assert found["cpu_reserved_on_demand"]["usd_per_month"] - beside == pytest.approx(
        (2 * RESERVED + 39 * 0.08925) * 730  # the two that run always, 78 for half of the time
    )


def test_each_model_on_machines_that_are_always_busy_by_hand(tmp_path: Path):
    found = variants(plain_case(tmp_path))
    for name, times in {"cpu_bundle": 1, "dense_onnx_fp32": 5, "dense_torch_fp32": 10}.items():
        one = found[name]
        assert one["tickets_per_second_peak"] == pytest.approx(1000 / times)
        assert one["tickets_per_second"] == pytest.approx(500 / times)
        assert one["usd_per_thousand_tickets"] == pytest.approx(times * BUSY_THOUSAND)
        assert one["usd_per_million_tokens_tokenizer"] == pytest.approx(times * 0.08925 / 36)  # 36 M an hour
        assert one["usd_per_million_tokens_rule_of_thumb"] == pytest.approx(times * 0.08925 / 43.2)
        assert one["instances_at_peak"] == 2


def test_a_model_that_cannot_meet_the_objective_has_no_price(tmp_path: Path):
    found = variants(plain_case(tmp_path).changed(objective_ms=15.0))  # the dense one takes 20 ms
    assert found["dense_torch_fp32"]["usd_per_month"] is None
    assert found["dense_torch_fp32"]["usd_per_thousand_tickets"] is None
    assert found["cpu_bundle"]["usd_per_month"] > 0


def test_break_even_with_a_gpu_of_20_000_a_second_by_hand(tmp_path: Path):
    # 10,000 are planned. Two GPUs cost 1.6096 an hour, 18 CPUs 1.6065, so from the 19th on: above 9,000 a
    # second
    found = gpu_break_even(plain_case(tmp_path, gpu_tickets_per_second=20_000.0))
    assert found["tickets_per_day"] == pytest.approx(9_000 * 86_400)
    assert found["any_gpu"]["tickets_per_day"] == pytest.approx(9_000 * 86_400)
    # the slowest and the fastest round: 450 and 550 a machine
    assert found["by_speed"] == pytest.approx([8_100 * 86_400, 9_900 * 86_400])
    # two spot GPUs cost 0.89977, ten CPUs on demand 0.8925; CPUs as spot are cheaper a ticket at any traffic
    assert found["by_price"] == [pytest.approx(5_000 * 86_400), None]
    # an endlessly fast GPU: 1.6096 is the price of 44.4 CPUs as spot
    assert found["any_gpu"]["by_price"] == pytest.approx([5_000 * 86_400, 22_000 * 86_400])
    # always busy: as many times the tickets as the price
    assert found["gpu_tickets_per_second_needed"] == pytest.approx(500 * 0.8048 / 0.08925 / 0.5)


def test_no_spread_in_an_older_report_is_said_and_not_made_up(tmp_path: Path):
    assert gpu_break_even(plain_case(tmp_path, spread=False))["by_speed"] is None


def test_an_assumed_gpu_that_is_dearer_a_ticket_never_breaks_even(tmp_path: Path):
    found = gpu_break_even(plain_case(tmp_path))
    assert found["tickets_per_day"] is None
    assert found["any_gpu"]["tickets_per_day"] == pytest.approx(9_000 * 86_400)


def test_the_mix_by_hand(tmp_path: Path):
    # 11,000 a second: 22 CPUs cost 1.9635; one GPU takes 10,000 and two CPUs the rest: 0.9833
    case = plain_case(tmp_path, gpu_tickets_per_second=20_000.0, tickets_per_day=11_000 * 86_400.0)
    found = hybrid(case)
    assert (found["cpu_instances"], found["gpu_instances"], found["gpu_hours_a_week"]) == (
        [2, 2],
        [1, 1],
        168,
    )
    assert found["saves_usd_per_month"] == pytest.approx((22 * 0.08925 - 0.8048 - 2 * 0.08925) * 730)
    assert "hybrid" in {one["kind"] for one in options(case)}


def test_the_front_door_works_on_what_it_sends_on_too(tmp_path: Path):
    # 2 ms beside the model's 2: a CPU is given 250 a second, and what it sends on is half of its work. Of
    # 11,000 one GPU takes 10,000, which is as much as 5,000 to the front door: 24 CPUs and not 4
    knobs = {"request_ms": 2.0, "gpu_tickets_per_second": 20_000.0, "tickets_per_day": 11_000 * 86_400.0}
    found = hybrid(plain_case(tmp_path, **knobs))
    assert (found["cpu_instances"], found["gpu_instances"]) == ([24, 24], [1, 1])
    assert found["saves_usd_per_month"] == pytest.approx((44 * 0.08925 - 0.8048 - 24 * 0.08925) * 730)


@pytest.mark.parametrize(("texts_at_once", "per_second"), [(1, 950.0), (8, 1_187.5), (16, 1_187.5)])
def test_a_nightly_run_by_hand(tmp_path: Path, texts_at_once: int, per_second: float):
    # 2 threads * 500 tickets/s one by one, 625 in batches, * 0.95; 86,400 tickets take 90.9 or 72.8 s, and
    # five minutes are paid before
    case = plain_case(tmp_path, cache_hit_rate=0.5)  # which no night has
    found = batch(replace(case, texts_at_once=texts_at_once))
    assert found["tickets_per_second"] == pytest.approx(per_second)
    assert found["hours_a_night"] == pytest.approx(86_400 / per_second / 3600)
    assert found["usd_per_month"] == pytest.approx(365 / 12 * (86_400 / per_second + 300) / 3600 * SPOT)
    assert found["instances"] == 1


def test_a_large_night_takes_more_machines(tmp_path: Path):
    # 1,000 times the tickets: 25.3 hours of work, in eight hours by four machines
    found = batch(plain_case(tmp_path, tickets_per_day=86_400_000.0))
    assert found["instances"] == 4
    assert found["hours_a_night"] == pytest.approx(86_400_000 / 950 / 3600 / 4)


def test_the_night_after_the_busiest_day_ends_in_time(tmp_path: Path):
    # A weekday of `office` has 7 / 5.6 times the mean day's tickets: 31.6 hours of work, not 25.3
    case = plain_case(tmp_path, profile="office", tickets_per_day=95_000_000.0)
    found = batch(case)
    hours = 95_000_000 / 950 / 3600  # of the mean day, in less than four nights' time
    assert hours < 4 * case.costs.batch_hours < 1.25 * hours
    assert found["instances"] == 5
    assert found["hours_a_night"] == pytest.approx(1.25 * hours / 5) and found["hours_a_night"] <= 8
    assert found["usd_per_month"] == pytest.approx(365 / 12 * (hours + 5 * 300 / 3600) * SPOT)


def test_the_service_s_own_speed_goes_before_the_benchmark_s(tmp_path: Path):
    case = plain_case(tmp_path, service_tickets_per_second=800.0, request_ms=9.0)
    assert case.request_ms == pytest.approx(0.5)  # two workers, 800 a second: 2.5 ms, of them 2 the model's
    assert case.capacity().peak == pytest.approx(800)
    assert case.capacity("dense_torch_fp32").peak == pytest.approx(2_000 / 20.5)


def test_a_service_that_is_faster_than_its_model_is_refused(tmp_path: Path):
    from ticket_sentiment.errors import TicketSentimentError

    with pytest.raises(
        TicketSentimentError, match=r"service_tickets_per_second: 1200 .* the bare model does, 1000"
    ):
        plain_case(tmp_path, service_tickets_per_second=1_200.0).capacity()


def test_a_cache_that_answers_half_doubles_what_a_machine_does(tmp_path: Path):
    case = plain_case(tmp_path, cache_hit_rate=0.5)
    assert case.capacity().peak == pytest.approx(2_000)
    given = plain_case(tmp_path, cache_hit_rate=0.5, gpu_tickets_per_second=1_000.0)
    assert given.gpu_planned == pytest.approx(1_000)  # half of 1,000 is planned, half of the tickets reach it


def test_sensitivity_by_hand(tmp_path: Path):
    rows = {row["what"]: row for row in sensitivity(plain_case(tmp_path))}
    one = 0.08925 * 730
    assert rows["Instances that always run"]["usd_per_month"] == pytest.approx([one, 4 * one])
    assert rows["How machines are bought"]["usd_per_month"] == pytest.approx([2 * SPOT * 730, 2 * one])
    assert rows["Tickets a day"]["usd_per_month"] == pytest.approx(
        [2 * one, 2 * one]
    )  # one machine is enough
    key = "usd_per_thousand_tickets"
    assert rows["Time that is planned with"][key] == pytest.approx(
        [1.25 * BUSY_THOUSAND, BUSY_THOUSAND / 1.6]
    )
    speed = rows["Speed of the model (tickets/s a thread)"]
    assert (speed["low"], speed["high"]) == ("450", "550")
    assert speed[key] == pytest.approx([BUSY_THOUSAND / 0.9, BUSY_THOUSAND / 1.1])
    assert rows["Tickets that the cache answers"][key] == pytest.approx([BUSY_THOUSAND, BUSY_THOUSAND / 2])


def test_an_assumption_with_which_the_objective_is_missed_has_no_cost(tmp_path: Path):
    # 2 ms a ticket, 5 in the slowest round; half of the objective are 1.95
    case = plain_case(tmp_path, slowest=0.4).changed(objective_ms=3.9)
    rows = {row["what"]: row for row in report(case)["sensitivity"]}
    objective, speed = rows["Objective (ms)"], rows["Speed of the model (tickets/s a thread)"]
    for key in ("usd_per_month", "usd_per_thousand_tickets"):
        assert objective[key][0] is None and objective[key][1] > 0
        assert speed[key][0] is None and speed[key][1] > 0
        assert None not in rows["Tickets a day"][key]
    assert {one["what"] for one in list(rows.values())[:2]} == {objective["what"], speed["what"]}
    low, high = gpu_break_even(case)["any_gpu"]["by_speed"]
    assert low == 0 and high > 0  # in the slowest round the CPU serves nothing in time


@pytest.mark.parametrize(
    ("knobs", "what", "ends"),
    [
        ({"cache_hit_rate": 0.9}, "Tickets that the cache answers", ("0", "0.9")),
        ({"utilisation": 0.9}, "Time that is planned with", ("0.4", "0.9")),
        ({"min_replicas": 6}, "Instances that always run", ("1", "6")),
    ],
)
def test_a_range_holds_the_case_that_is_priced(tmp_path: Path, knobs: dict, what: str, ends: tuple[str, str]):
    case = plain_case(tmp_path, **knobs)
    row = {row["what"]: row for row in sensitivity(case)}[what]
    assert (row["low"], row["high"]) == ends
    assert row["usd_per_month"][1] == pytest.approx(month(case)["machines"])


def test_where_only_the_cache_answers_in_time_fewer_answers_of_it_have_no_cost(tmp_path: Path):
    # answers from the cache are the 90 % in time
    case = plain_case(tmp_path, cache_hit_rate=0.9, request_ms=1.0, objective_share=0.8)
    rows = {row["what"]: row for row in sensitivity(case.changed(objective_ms=2.5))}
    low, high = rows["Tickets that the cache answers"]["usd_per_month"]
    assert low is None and high > 0


def test_the_report_is_plain_json_with_its_sources_and_dates(tmp_path: Path):
    found = report(plain_case(tmp_path))
    json.dumps(found, allow_nan=False)
    assert found["as_of"] == "2026-11-26"
    assert found["cpu"]["price_date"] == found["gpu"]["price_date"] == "2026-07-20"
    assert found["cpu"]["reserved_date"] == "2026-11"
    assert all(one["source"] and one["checked"] for one in found["prices"]["services"].values())
    assert found["gpu"]["assumed"] and "Roblox" in found["assumptions"][-1]
    assert found["tokens_per_ticket"] == {"tokenizer": 20.0, "rule_of_thumb": 24.0}


def test_a_gpu_s_speed_by_hand_is_no_assumption(tmp_path: Path):
    found = cost_figures(plain_case(tmp_path, gpu_tickets_per_second=4_000.0))
    assert not found["gpu"]["assumed"] and "given by hand" in found["assumptions"][-1]
    assert found["gpu"]["tickets_per_second"] == 2_000
    assert math.isfinite(found["month"]["total"])
