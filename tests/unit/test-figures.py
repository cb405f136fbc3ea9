#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What lab/figures-kernel measures is judged rightly. Prints TAP.

Usage: test-figures.py SOURCE_ROOT

The names of the functions are the sentences that are printed. Each has a directory of
its own to work in.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import traceback

ROOT = os.path.abspath(sys.argv[1])
FIGURES = os.path.join(ROOT, "lab/lib/figures_kernel.py")
PART = os.path.join(ROOT, "bench/kernel/part.py")
ABOUT = {"quick": False, "seed": 1, "series": "abc", "commit": "123", "date": "2026-01-01",
         "load": 0.5, "lost": 0}
ALL = []


def load(path):
    spec = importlib.util.spec_from_file_location("under_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test(function):
    ALL.append(function)
    return function


sys.dont_write_bytecode = True
part = load(PART)


def write(directory, name, text):
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def nonsense(function, *args):
    """what it says when it refuses"""
    try:
        function(*args)
    except part.Nonsense as error:
        return str(error)
    raise AssertionError(f"{function.__name__} has refused nothing")


# --- builders -------------------------------------------------------------------


def reading(series, variant, state="", pages=0, instructions=0, **more):
    executed = instructions
    return {"interval": 0, "series": series, "variant": variant, "state": state, "pages": pages,
            "instructions": instructions, "executed": executed, "ns": executed + 80, **more}


def write_run(directory, run, readings):
    """Raw output of a run and what the plugin counted, as in_lab leaves them."""
    counts = [f"{n} {r['executed']} 0" for n, r in enumerate(r for r in readings if "interval" in r)]
    write(directory, run + ".counts", "\n".join(counts) + "\n")
    kept = [{k: v for k, v in r.items() if k not in ("instructions", "executed")} for r in readings]
    write(directory, run + ".jsonl", "".join(json.dumps(r) + "\n" for r in kept))


def ageing(notifier):
    readings = [reading("known", "loop of 1000", instructions=2001, expected=2001)]
    for state in part.STATES:
        readings += [reading("notifier", "page by page", state, 512, 512 * notifier),
                     reading("notifier", "2 MiB at a time", state, 512, 512 * 50),
                     reading("mglru", "one ageing", state, 512, 512 * 1000)]
    return readings


def nested(before=0, touched=512):
    """A nested guest whose pages were mapped before, or not all by shadow pages."""
    readings = [{"series": "nested mapping", "variant": series, "pages": 512,
                 "present_before_l2": own, "accessed_by_l2": by_l2}
                for series, own, by_l2 in (("nested", before, touched), ("nested and own", 512, 512),
                                           ("own beside nested", 512, 0))]
    readings += [reading(series, variant, state, 512, 512 * 300) for series in part.NESTED_SERIES
                 for variant in part.NESTED for state in part.STATES]
    return readings


def instructions(directory, notifier, stock, harvest, agree=512):
    """Raw output of the part 'instructions', per page."""
    readings = ageing(notifier)
    for state in part.STATES:
        readings += [reading("harvest", variant, state, 512, 512 * harvest) for variant in part.HARVESTS]
        readings += [reading("damon", "without", state, 0, 1000),
                     reading("damon", "with", state, 512, 1000 + 512 * 5000)]
    readings += [reading("residency", name, "", 512, 512 * 40)
                 for name in ("harvest", "pagemap", "move_pages")]
    readings += [{"series": "residency agreement", "pages": 512, "as_pagemap": 512, "as_move_pages": n}
                 for n in (512, agree, 512)]
    readings += [{"series": "damon check", "events": 512}]
    readings += nested()
    write_run(directory, "instructions", readings)
    write_run(directory, "instructions-stock", ageing(stock))
    return part.part_instructions(directory)


def values(result):
    return {goal["name"]: goal["value"] for goal in result["goals"]}


def missed(result):
    return [goal["name"] for goal in result["goals"] if not goal["met"]]


def histogram(*stacks, hits=None, dropped=0):
    """As the kernel prints a histogram trigger by stack and flags."""
    text = "# event histogram\n#\n"
    for functions, flags, events in stacks:
        text += "{ common_stacktrace:\n" + "".join(f"         {f}+0x1a/0x40\n" for f in functions)
        text += f", flags:          {flags} }} hitcount:         {events}\n"
    hits = sum(events for _, _, events in stacks) if hits is None else hits
    return text + f"\nTotals:\n    Hits: {hits}\n    Entries: {len(stacks)}\n    Dropped: {dropped}\n"


NOTIFIER_WAITS = (["queued_write_lock_slowpath", "kvm_mmu_notifier_clear_young"], 5, 7)


def contention(directory, *stacks, passes=9):
    """The part 'contention' with these stacks beside a harvester."""
    samples = [{"neighbour": name, "faults": 100, "passes": passes, "pages_looked_at": 5}
               for name in ("harvest", "notifier")]
    write(directory, "contention.jsonl", "".join(json.dumps(s) + "\n" for s in samples))
    write(directory, "contention/contention-harvest.txt", histogram(*stacks))
    write(directory, "contention/contention-notifier.txt", histogram(NOTIFIER_WAITS))
    return part.part_contention(directory)


def faults(directory, *pairs):
    """The part 'faults' with pairs of a neighbour, its rate, and that beside the spinner."""
    samples = []
    for n, (neighbour, rate, spinner) in enumerate(pairs):
        samples += [{"neighbour": who, "pair": n, "pages": 1000 * speed, "ns": 1000, "passes": 5,
                     "neighbour_cpu_ns": 990}
                    for who, speed in (("spinner", spinner), (neighbour, rate))]
    write(directory, "faults.jsonl", "".join(json.dumps(s) + "\n" for s in samples))
    return part.part_faults(directory)


def size(directory, growth, known=2001):
    """The part 'size': a large guest's pages cost @growth times those of a small one."""
    readings = [reading("known", "loop of 1000", instructions=known, expected=2001)]
    for variant in part.HARVESTS:
        for state in part.STATES:
            dear = growth if (variant, state) == ("all, peek", "idle") else 1
            readings += [reading("harvest", variant, state, 512, 512 * 50),
                         reading("harvest", variant, state, 5120, int(5120 * 50 * dear))]
    write_run(directory, "size", readings)
    return part.part_size(directory)


def beside_ageing(directory, seen=64, found=90, demoted=0, first_sees=64, blind=(1, 64), harvests=7,
                  alone=90, harvested=500):
    """The part 'ageing': what is seen, found and demoted beside harvests after the patch."""
    samples = []
    for series, sees, finds, loses in (("before", 0, *blind), ("after", seen, found, demoted)):
        samples += [{"measured": "notes", "series": series, "first": "ageing", "pages": 64,
                     "young": first_sees, "accessed": sees, "accessed_again": 0},
                    {"measured": "notes", "series": series, "first": "harvest", "pages": 64,
                     "accessed": first_sees, "young": sees, "young_again": 0}]
        for period in (0, 5):
            common = {"series": series, "period_ms": period, "harvests": harvests if period else 0,
                      "harvested": harvested if period else 0}
            samples += [{**common, "measured": "damon", "checks": 100,
                         "found_accessed": finds if period or series == "after" else alone}]
            samples += [{**common, "measured": "reclaim", "pages": 64, "demoted_guest": n}
                        for n in (0, loses if period else 0, 64)]
    write(directory, "ageing.jsonl", "".join(json.dumps(s) + "\n" for s in samples))
    return part.part_ageing(directory)


def some_part(value=1, **about):
    return {"title": "a part", "results": {}, "table": [["a row", "1"]], "raw": [],
            "goals": [part.goal("as much as that", value, at_least=1)], **ABOUT, **about}


def put_together(directory, **parts):
    """Run figures_kernel.py: its status, what it says, what it writes."""
    for name, content in parts.items():
        write(directory, f"work/{name}.json", json.dumps(content))
    os.makedirs(os.path.join(directory, "work"), exist_ok=True)
    out = os.path.join(directory, "out")
    run = subprocess.run([FIGURES, os.path.join(directory, "work"), out], cwd=ROOT,
                         capture_output=True, text=True, check=False)
    if not os.path.exists(out):
        return run.returncode, run.stderr, None
    with open(out, encoding="utf-8") as file:
        return run.returncode, run.stdout + run.stderr, json.load(file)


def shell(code, **variables):
    run = subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=ROOT, text=True, check=False,
                         capture_output=True, env={**os.environ, **variables})
    return run.returncode, run.stdout.strip()


# --- counts -----------------------------------------------------------------------


@test
def code_of_known_length_is_counted_to_the_instruction(_):
    known = [reading("known", "loop of 1000", instructions=n, expected=2001) for n in (2001, 5000)]
    result = part.check_known(known)["loop of 1000"]
    assert (result["least"], result["times_exact"], result["of"]) == (2001, 1, 2), result
    for off_by_one in (2000, 2002):
        known = [reading("known", "loop of 1000", instructions=n, expected=2001)
                 for n in (off_by_one, 5000)]
        assert "the counter is wrong" in nonsense(part.check_known, known)
    assert "the counter is wrong" in nonsense(
        part.check_known, [reading("known", "nothing", instructions=1)])
    assert "'known'" in nonsense(part.check_known, [])


@test
def each_interval_has_its_count(directory):
    readings = [reading("harvest", "all", "idle", 512, n) for n in (100, 200)]
    write_run(directory, "run", readings)
    counted = part.read_counted(directory, "run")
    assert [r["instructions"] for r in counted] == [100, 200], counted
    write(directory, "run.counts", "0 100 30\n1 200 0\n")
    assert part.read_counted(directory, "run")[0]["instructions"] == 70
    write(directory, "run.counts", "0 100 0\n")
    assert "2 intervals, and 1" in nonsense(part.read_counted, directory, "run")


@test
def a_clock_that_disagrees_with_the_count_is_nonsense(_):
    def apart(*differences, series="harvest"):
        return [{"series": series, "executed": 10 ** 6, "ns": 10 ** 6 + d} for d in differences]

    result = part.clock_against_count(apart(80, 86, 81))
    assert (result["intervals"], result["least"], result["most"]) == (3, 80, 86), result
    # A clock that runs a millionth too fast, or too slow, is the clock's fault.
    large = 254 * 10 ** 6
    for ppm, wrong in ((1, False), (-1, False), (20, True), (-20, True)):
        readings = [{"series": "harvest", "executed": large, "ns": large + 80 + large * ppm // 10 ** 6}]
        if wrong:
            assert "disagree" in nonsense(part.clock_against_count, readings), ppm
        else:
            part.clock_against_count(readings)
    for wrong in (-11, 5000, 20000, 10 ** 9):
        assert "disagree" in nonsense(part.clock_against_count, apart(80, wrong, 81))
    # An interrupt between clock and marker, once in a great while.
    part.clock_against_count(apart(*[80] * 199, 5000))
    assert "disagree" in nonsense(part.clock_against_count, apart(*[80] * 197, 5000, 5000, 5000))
    assert "no interval" in nonsense(part.clock_against_count, [])


@test
def damon_may_sleep_while_the_clock_goes_on(_):
    sleeping = {"series": "damon", "executed": 10 ** 6, "ns": 4 * 10 ** 9}
    assert "disagree" in nonsense(part.clock_against_count, [{**sleeping, "series": "mglru"}])
    awake = {"series": "harvest", "executed": 100, "ns": 180}
    assert part.clock_against_count([sleeping, awake])["intervals"] == 1
    assert "no interval" in nonsense(part.clock_against_count, [sleeping])


@test
def the_harvest_is_compared_with_the_cheaper_notifier(directory):
    for notifier, stock, expected in ((800, 600, 12), (600, 800, 12)):
        result = instructions(directory, notifier, stock, 50)
        assert values(result)["cheaper notifier over harvest, all, accessed"] == expected, values(result)
        assert result["results"]["notifier_with_series_over_stock"]["idle"] == round(notifier / stock, 4)
        assert not missed(result), missed(result)


@test
def a_harvest_that_is_too_dear_misses_its_goals(directory):
    result = instructions(directory, 800, 490, 50)
    assert len(missed(result)) == len(part.JUDGED) * len(part.STATES), missed(result)


@test
def nodes_are_compared_in_each_repetition(directory):
    result = instructions(directory, 800, 800, 50, agree=509)
    assert missed(result) == ["pages on whose node harvest, pagemap, move_pages disagree"], missed(result)
    assert values(result)[missed(result)[0]] == 3


@test
def what_no_shadow_page_maps_is_not_the_nested_guests(directory):
    assert len(part.nested_mapping(nested())) == 3
    assert "before L2 has touched 512" in nonsense(part.nested_mapping, nested(before=512))
    assert "before L2 has touched 511" in nonsense(part.nested_mapping, nested(touched=511))
    table = dict(instructions(directory, 800, 800, 50)["table"])
    assert table["harvest of a nested guest's pages, all"] == "300.0 / 300.0", table


# --- faults and contention ----------------------------------------------------------


@test
def the_interval_of_the_median_is_the_narrowest_of_95_percent(_):
    low, high, sure = part.order_interval([7, 3, 19, 1, 20, 11, 2, 14, 5, 8, 13, 4, 10, 17, 6, 9, 15,
                                           12, 18, 16])
    assert (low, high, round(sure, 4)) == (6, 15, 0.9586), (low, high, sure)
    low, high, sure = part.order_interval([3, 1, 2, 6, 5, 4])
    assert (low, high, sure) == (1, 6, 0.96875), (low, high, sure)
    # 5 to 12 would hold it in 92 %.
    assert part.order_interval(range(1, 17))[:2] == (4, 13)
    # Of so few values nothing is as sure as that, and it says so.
    assert part.order_interval([1, 2, 3]) == (1, 3, 0.75)


@test
def a_histogram_is_read_stack_by_stack(directory):
    stacks = [(["queued_read_lock_slowpath", "kvm_tdp_page_fault"], 3, 12), (["mutex_lock"], 32, 1)]
    found = part.read_histogram(write(directory, "h", histogram(*stacks)))
    assert found == stacks, found
    events = part.count_events(found)
    assert (events["all"], events["mmu_lock"], events["mmu_lock_through_fault"]) == (13, 12, 12), events
    assert part.read_histogram(write(directory, "none", histogram())) == []


@test
def a_histogram_that_is_not_whole_is_nonsense(directory):
    stack = (["mutex_lock"], 32, 5)
    assert "were dropped" in nonsense(
        part.read_histogram, write(directory, "h", histogram(stack, dropped=1)))
    whole = histogram(stack)
    assert "not all" in nonsense(part.read_histogram, write(directory, "h", histogram(stack, hits=6)))
    assert "not all" in nonsense(
        part.read_histogram, write(directory, "h", whole[:whole.index("\nTotals")]))
    assert "not all" in nonsense(part.read_histogram, write(directory, "h", ""))


@test
def nobody_waits_for_mmu_lock_beside_a_harvester(directory):
    assert not missed(contention(directory))
    # A spinning mutex is no reader-writer lock.
    assert not missed(contention(directory, (["mutex_lock"], 32, 5)))
    by_others = contention(directory, (["queued_write_lock_slowpath", "kvm_set_memslot"], 5, 1))
    assert missed(by_others) == ["waits for mmu_lock beside it, anybody's"], missed(by_others)
    in_it = contention(directory, (["queued_read_lock_slowpath", "kvm_access_harvest"], 3, 1))
    assert "waits for mmu_lock in the harvest" in missed(in_it), missed(in_it)


@test
def a_harvester_that_did_nothing_proves_nothing(directory):
    assert missed(contention(directory, passes=0)) == ["passes of the harvest meanwhile"]


@test
def faults_are_compared_with_those_beside_the_spinner_of_the_pair(directory):
    slow = [("harvest", 90 + n, 100) for n in range(20)]
    result = faults(directory, *slow, *[("notifier", 50, 100)] * 20)
    assert result["results"]["harvest"]["median"] == 0.995, result["results"]
    assert result["results"]["notifier"]["median"] == 0.5
    assert not missed(result)
    # Twice as fast beside a spinner twice as fast is no difference.
    result = faults(directory, ("harvest", 100, 100), ("harvest", 200, 200), ("harvest", 93, 93))
    assert result["results"]["harvest"]["ratios"] == [1, 1, 1], result["results"]
    result = faults(directory, *[("harvest", 94, 100)] * 6)
    assert missed(result) == ["faults per second beside a harvester over beside a spinner"]
    assert values(result)[missed(result)[0]] == 0.94


@test
def a_neighbour_without_its_spinner_is_nonsense(directory):
    assert "no pair" in nonsense(faults, directory, ("spinner", 90, 100))
    faults(directory, ("harvest", 90, 100), ("harvest", 90, 100))
    with open(os.path.join(directory, "faults.jsonl"), encoding="utf-8") as file:
        first, second, third, fourth = file
    write(directory, "faults.jsonl", first + second + third)
    assert "no pairs: 3" in nonsense(part.part_faults, directory)
    write(directory, "faults.jsonl", first + fourth + third + second)
    assert "no pair" in nonsense(part.part_faults, directory)


@test
def the_variant_that_grows_most_with_the_guest_is_judged(directory):
    assert not missed(size(directory, 1.09))
    result = size(directory, 1.2)
    assert len(missed(result)) == 1 and values(result)[missed(result)[0]] == 1.2, values(result)
    assert result["results"]["worst"] == {"variant": "all, peek", "state": "idle"}, result["results"]
    # Dearer where it is small is no growth.
    assert not missed(size(directory, 0.5))
    assert "the counter is wrong" in nonsense(size, directory, 1, 2002)


@test
def time_is_compared_as_instructions_are(directory):
    readings = [{**r, "thread_ns": r.get("instructions", 0)} for r in ageing(800)]
    for state in part.STATES:
        readings += [{**reading("harvest", variant, state, 512, 0), "ns": 512 * cost}
                     for variant in part.HARVESTS for cost in (40, 90)]
        readings += [{**reading("damon", "without", state, 0), "thread_ns": 1000},
                     {**reading("damon", "with", state, 512), "thread_ns": 1000 + 512 * 5000}]
    readings += [{**reading("residency", name, "", 512), "ns": 512 * 40}
                 for name in ("harvest", "pagemap", "move_pages")]
    write_run(directory, "times", readings)
    ratio = part.part_times(directory)["results"]["notifier_over_harvest"]["all"]["idle"]
    assert ratio == 20, ratio


# --- the whole ----------------------------------------------------------------------


@test
def a_part_says_how_it_was_measured(directory):
    contention(directory)
    write(directory, "contention.about", json.dumps(ABOUT))
    run = subprocess.run([PART, "contention", directory], capture_output=True, text=True, check=True)
    result = json.loads(run.stdout)
    assert {name: result[name] for name in ABOUT} == ABOUT, result
    assert missed(result) == []


@test
def nonsense_is_no_part(directory):
    contention(directory)
    write(directory, "contention.about", json.dumps(ABOUT))
    write(directory, "contention/contention-harvest.txt", histogram(NOTIFIER_WAITS, dropped=3))
    run = subprocess.run([PART, "contention", directory], capture_output=True, text=True, check=False)
    assert run.returncode and not run.stdout and "were dropped" in run.stderr, run


@test
def goals_that_are_met_give_status_0(directory):
    status, said, figures = put_together(directory, faults=some_part(1),
                                         size=some_part(2, date="2026-01-02", commit="456"))
    assert status == 0, said
    assert figures["goals_missed"] == [] and "MISSED" not in said
    assert (figures["measured"], figures["commits"]) == ("2026-01-02", ["123", "456"]), figures
    assert (figures["quick"], figures["seed"], figures["versions"]["series"]) == (False, 1, "abc")


@test
def a_missed_goal_gives_status_1(directory):
    status, said, figures = put_together(directory, faults=some_part(1), size=some_part(0.5))
    assert status == 1, said
    assert figures["goals_missed"] == ["as much as that"] and "MISSED" in said


@test
def parts_that_differ_are_refused_with_status_2(directory):
    for member, value in (("series", "def"), ("seed", 2), ("quick", True), ("series", None)):
        status, said, figures = put_together(directory, faults=some_part(),
                                             size=some_part(**{member: value}))
        assert status == 2 and f"differ in '{member}'" in said, (status, said)
        assert figures is None
    status, said, _ = put_together(directory, faults=some_part(seed=None), size=some_part(seed=None))
    assert status == 2, said


@test
def no_part_at_all_gives_status_2(directory):
    status, said, _ = put_together(directory)
    assert status == 2 and "no part" in said, (status, said)


@test
def a_version_that_nobody_tells_is_none(_):
    first_line = load(os.path.join(ROOT, "lab/lib/first_line.py"))
    assert first_line.of("printf", " a b \nc\n") == "a b"
    for silent in (("true",), ("false",), ("sh", "-c", "echo 1; exit 1"), ("/no/such/program",)):
        assert first_line.of(*silent) is None, silent


# --- the lab ------------------------------------------------------------------------


@test
def a_lab_is_lost_only_by_nobodys_fault(directory):
    lost = 'lab_dir=lab; . lab/lib/lost.sh; lab_was_lost "$OUT" && echo "$lost"'
    assert shell(lost, OUT=directory)[0] != 0
    for failure, forgiven in (
            ("the kernel of the lab complained, 'Oops: int3: 0000 [#1] PREEMPT SMP NOPTI'", True),
            ("the lab went away before the command ended (QEMU: status 0, '')", True),
            ("the kernel of the lab complained, 'WARNING: CPU: 0 PID: 1 at mm/Oops: int3:'", False),
            ("the kernel of the lab complained, 'BUG: kernel NULL pointer dereference'", False),
            ("the command did not end within 3000 s", False),
            ("QEMU was killed by signal 9", False)):
        write(directory, "lab-failed", failure + "\n")
        status, said = shell(lost, OUT=directory)
        assert (status == 0) == forgiven and bool(said) == forgiven, (failure, status, said)


@test
def harvests_that_blind_the_hosts_ageing_miss_the_goals(directory):
    result = beside_ageing(directory)
    assert not missed(result), missed(result)
    before = result["results"]["before"]
    assert (before["seen_by_the_other"], before["damon_found_ratio"],
            before["demoted_more"]) == (0, 0.0111, 1), before
    for broken in ({"seen": 63}, {"found": 80}, {"demoted": 10}):
        assert len(missed(beside_ageing(directory, **broken))) == 1, broken
    # What the patch itself keeps DAMON from seeing counts as well.
    assert missed(beside_ageing(directory, found=80, alone=84)) == [], "0.95 of 84"
    assert len(missed(beside_ageing(directory, found=90, alone=98))) == 1


@test
def a_measurement_that_could_not_show_that_ageing_is_blind_misses_the_goals(directory):
    assert missed(beside_ageing(directory, blind=(60, 64))) == ["DAMON finds so before the patch (it is blind)"]
    assert missed(beside_ageing(directory, blind=(1, 10))) == [
        "share demoted more before the patch (MGLRU is blind)"]


@test
def notes_that_the_first_side_has_not_all_seen_and_harvests_that_were_not_are_refused(directory):
    assert "63 were seen" in nonsense(beside_ageing, directory, 64, 90, 0, 63)
    assert "0 harvests, one each 5 ms" in nonsense(beside_ageing, directory, 64, 90, 0, 64, (1, 64), 0)
    assert "with 0 accessed pages" in nonsense(
        lambda: beside_ageing(directory, harvested=0))
    assert "finds nothing even without" in nonsense(lambda: beside_ageing(directory, alone=0))


@test
def the_key_of_the_series_is_that_of_what_is_built(directory):
    def key(name, text):
        write(directory, "kvm-patches/" + name, text)
        status, said = shell("lab_dir=lab; . lab/lib/kernel.sh; tree_dir=$TREE kernel_version=6; "
                             "series_key", TREE=directory)
        assert status == 0 and len(said) == 16, (status, said)
        return said

    for name in ("apply", "build", "check", "v6.12/0000-cover-letter.patch", "v6.12/0001-one.patch"):
        write(directory, "kvm-patches/" + name, name)
    before = key("v6.12/series", "# in order\n0001-one.patch # the first\n")
    for name in ("v6.12/0000-cover-letter.patch", "check", "README.md", "v6.12/0002-other.patch"):
        assert key(name, "changed") == before, name
    seen = {before}
    for name in ("v6.12/0001-one.patch", "apply", "build"):
        seen.add(key(name, "changed"))
    seen.add(key("v6.12/series", "0001-one.patch\n0002-other.patch\n"))
    assert len(seen) == 5, seen


def main():
    failed = 0
    print(f"1..{len(ALL)}")
    for number, function in enumerate(ALL, 1):
        sentence = function.__name__.replace("_", " ")
        with tempfile.TemporaryDirectory() as directory:
            try:
                function(directory)
                print(f"ok {number} - {sentence}")
            except Exception:  # whatever it was, the next test runs
                failed += 1
                print(f"not ok {number} - {sentence}")
                print("\n".join("# " + line for line in traceback.format_exc().splitlines()))
    return 1 if failed else 0


sys.exit(main())
