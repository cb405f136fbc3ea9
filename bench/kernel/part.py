#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn the raw output of one part of lab/figures-kernel into that part's JSON.

Usage: part.py PART DIRECTORY

Reads DIRECTORY/PART.jsonl and what else the part left there, writes to stdout an
object with the members
  title    what was measured, in a line
  results  numbers, by name
  goals    of each: name, value, at_least or at_most, met
  table    rows for people: text, value
  raw      every single measurement
and what DIRECTORY/PART.about says of how it was measured
  quick    was it only tried? whoever puts parts together refuses to mix
  seed     of what is drawn
  series   which kernel series that was: a hash of it
  commit   of this tree
  date     on which it began
  load     of the machine then, the mean of a minute
  lost     how often the lab was lost and started again
lab/lib/figures_kernel.py takes any such file, wherever it comes from.
"""

import json
import math
import os
import re
import statistics
import sys

HARVESTS = ("all", "all but dirty", "accessed and present", "accessed, present and dirty",
            "all, peek", "all but dirty, peek", "accessed and present, peek")
# Those that a goal is set for.
JUDGED = HARVESTS[:3]
STATES = ("accessed", "idle")
# What is asked for of a nested guest's pages, and series in which it has touched them.
NESTED = ("all", "accessed and present")
NESTED_SERIES = {"nested": "harvest of a nested guest's pages",
                 "nested and own": "where its host has touched them, too"}

# Clock and count begin apart by the reading of the clock: 80 to 86 instructions. The lab's
# kernel measures at boot how fast its clock runs, in some boots a millionth beside it.
CLOCK_LESS_COUNT_MAX = 200
CLOCK_RATE_ERROR = 1e-5

# Functions of the series, of the notifier's path to the same bits, and of a guest's fault.
HARVEST_FUNCTION = re.compile(r"^(kvm_access_|access_|kvm_arch_access_)")
NOTIFIER_FUNCTION = re.compile(r"^kvm_mmu_notifier_clear_young$")
FAULT_FUNCTION = re.compile(r"^kvm_(tdp_|mmu_)page_fault$")

# Flags of lock:contention_begin. Source: LCB_F_*, include/trace/events/lock.h, Linux 6.12.
SPIN, READ, WRITE = 1, 2, 4


class Nonsense(Exception):
    """What was measured cannot be right."""


def lines(directory, part):
    with open(os.path.join(directory, part + ".jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def goal(name, value, at_least=None, at_most=None):
    met = value >= at_least if at_least is not None else value <= at_most
    limit = {"at_least": at_least} if at_least is not None else {"at_most": at_most}
    return {"name": name, "value": value, **limit, "met": met}


# --- counted and timed intervals ---------------------------------------------


def of_series(readings, series):
    found = [reading for reading in readings if reading["series"] == series]
    if not found:
        raise Nonsense(f"there is nothing of the series '{series}'")
    return found


def read_counted(directory, run):
    """Readings with the plugin's counts: the n-th interval of the run is its n-th line."""
    readings = lines(directory, run)
    with open(os.path.join(directory, run + ".counts"), encoding="utf-8") as file:
        counts = [tuple(map(int, line.split())) for line in file]
    intervals = [reading for reading in readings if "interval" in reading]
    if len(counts) != len(intervals):
        raise Nonsense(f"{run}: {len(intervals)} intervals, and {len(counts)} were counted")
    for reading, (_, executed, turns) in zip(intervals, counts):
        reading["executed"] = executed
        reading["instructions"] = executed - turns
    return readings


def grouped(readings, member):
    """Of each (series, variant, state, pages), the values of @member in order."""
    groups = {}
    for reading in readings:
        if member in reading:
            key = (reading["series"], reading["variant"], reading["state"], reading["pages"])
            groups.setdefault(key, []).append(reading[member])
    return groups


def per_page(groups):
    """series -> variant -> state -> least and median per page."""
    tree = {}
    for (series, variant, state, pages), values in groups.items():
        if not pages or state == "warming up" or series == "damon":
            continue
        tree.setdefault(series, {}).setdefault(variant, {})[state or "any"] = {
            "pages": pages,
            "least": round(min(values) / pages, 4),
            "median": round(statistics.median(values) / pages, 4),
        }
    return tree


def raw(groups):
    return [{"series": series, "variant": variant, "state": state, "pages": pages, "values": values}
            for (series, variant, state, pages), values in groups.items()]


def check_known(readings):
    """Is code of known length counted to the instruction, where no interrupt came?"""
    known = {}
    for reading in of_series(readings, "known"):
        known.setdefault(reading["variant"], []).append(reading)
    result = {}
    for variant, each in known.items():
        counts = [reading["instructions"] for reading in each]
        expected = each[0].get("expected", 0 if variant == "nothing" else None)
        if expected is not None and min(counts) != expected:
            raise Nonsense(f"the counter is wrong: {variant}: {min(counts)}, should be {expected}")
        result[variant] = {"expected": expected, "least": min(counts), "times_exact":
                           counts.count(min(counts)), "of": len(counts), "most": max(counts)}
    return result


def clock_against_count(readings):
    """QEMU's own count of instructions is the clock; the reading of it is some more."""
    # Of DAMON there are windows in which the machine sleeps: the clock goes on, nobody executes.
    # Intervals of known length follow each other so evenly that several can meet the timer's
    # interrupt behind the reading of the clock; their counts are checked one by one.
    compared = [reading for reading in readings
                if "executed" in reading and reading["series"] not in ("damon", "known")]
    apart = [reading["ns"] - reading["executed"] for reading in compared]
    if not apart:
        raise Nonsense("there is no interval of which clock and count can be compared")
    errors = [CLOCK_RATE_ERROR * reading["executed"] for reading in compared]
    too_few = any(value + error < 0 for value, error in zip(apart, errors))
    # An interrupt may come right between the reading of the clock and the marker.
    between = sum(value - error > CLOCK_LESS_COUNT_MAX for value, error in zip(apart, errors))
    if too_few or between > len(apart) / 100:
        raise Nonsense(f"clock and count disagree: in {len(apart)} intervals by {min(apart)} to {max(apart)}")
    return {"intervals": len(apart), "least": min(apart), "median": statistics.median(apart),
            "most": max(apart)}


def damon_cost(readings, member):
    """Per check of a page in each state, of the windows with DAMON less those without."""
    result = {}
    for state in STATES:
        windows = [r for r in of_series(readings, "damon") if r["state"] == state]
        without = statistics.median(r[member] for r in windows if r["variant"] == "without")
        costs = [(r[member] - without) / r["pages"] for r in windows if r["variant"] == "with"]
        result[state] = {"checks": [r["pages"] for r in windows if r["variant"] == "with"],
                         "least": round(min(costs), 1), "median": round(statistics.median(costs), 1)}
    return result


def least(tree, series, variant, state):
    try:
        return tree[series][variant][state]["least"]
    except KeyError:
        raise Nonsense(f"{series}, {variant}, {state}: not measured") from None


def notifier_loop(tree):
    """What the page by page loop costs in each state."""
    return {state: least(tree, "notifier", "page by page", state) for state in STATES}


def ratios_to_harvest(tree, notifier):
    """How many times more than each harvest @notifier is."""
    return {variant: {state: round(notifier[state] / least(tree, "harvest", variant, state), 2)
                      for state in STATES} for variant in HARVESTS}


def cost_row(title, costs, digits):
    return [title, " / ".join(f"{cost:.{digits}f}" for cost in costs)]


def cost_rows(tree, damon, digits, unit=1):
    """All that is measured per page, in units of @unit."""
    rows = []
    for series, variants, title in (
            ("harvest", HARVESTS, "harvest"),
            ("notifier", ("page by page", "2 MiB at a time"), "notifier"),
            ("mglru", ("one ageing",), "MGLRU")):
        for variant in variants:
            costs = [least(tree, series, variant, state) / unit for state in STATES]
            rows.append(cost_row(f"{title}, {variant}", costs, digits))
    rows.append(cost_row("DAMON, a check", [damon[state]["median"] / unit for state in STATES], digits))
    for name, title in (("harvest", "harvest's on_nodes, peek"),
                        ("pagemap", "pagemap and a table of frames"),
                        ("move_pages", "move_pages without nodes")):
        cost = least(tree, "residency", name, "any") / unit
        rows.append(cost_row(f"where is it: {title}", [cost], digits))
    return rows


def nested_rows(tree):
    return [cost_row(f"{title}, {variant}",
                     [least(tree, series, variant, state) for state in STATES], 1)
            for series, title in NESTED_SERIES.items() for variant in NESTED]


def nested_mapping(readings):
    """Are there shadow pages of all that is said to be the nested guest's?"""
    found = of_series(readings, "nested mapping")
    for each in found:
        own = each["pages"] if each["variant"] != "nested" else 0
        by_l2 = each["pages"] if each["variant"] in NESTED_SERIES else 0
        if (each["present_before_l2"], each["accessed_by_l2"]) != (own, by_l2):
            raise Nonsense(f"{each['variant']}: of {each['pages']} pages {each['present_before_l2']} "
                           f"were mapped before L2 has touched {each['accessed_by_l2']} of them")
    return found


def stock_rows(stock, growth):
    return [
        cost_row("on a stock KVM: notifier, page by page", notifier_loop(stock).values(), 1),
        cost_row("on a stock KVM: MGLRU, one ageing",
                 [least(stock, "mglru", "one ageing", state) for state in STATES], 1),
        cost_row("notifier, page by page, with the series over stock", growth.values(), 3),
    ]


def part_instructions(directory):
    readings = read_counted(directory, "instructions")
    stock_readings = read_counted(directory, "instructions-stock")
    groups, stock_groups = (grouped(r, "instructions") for r in (readings, stock_readings))
    tree, stock = per_page(groups), per_page(stock_groups)
    # The series changes what the notifier does, so that it alone is no baseline.
    patched_loop, stock_loop = notifier_loop(tree), notifier_loop(stock)
    ratios = ratios_to_harvest(tree, {s: min(patched_loop[s], stock_loop[s]) for s in STATES})
    growth = {state: round(patched_loop[state] / stock_loop[state], 4) for state in STATES}
    damon = damon_cost(readings, "instructions")
    agreement = of_series(readings, "residency agreement")
    goals = [goal(f"cheaper notifier over harvest, {variant}, {state}",
                  ratios[variant][state], at_least=10)
             for variant in JUDGED for state in STATES]
    goals.append(goal("pages on whose node harvest, pagemap, move_pages disagree",
                      sum(2 * each["pages"] - each["as_pagemap"] - each["as_move_pages"]
                          for each in agreement), at_most=0))
    return {
        "title": "instructions per page: all accessed / all idle",
        "results": {
            "per_page": tree,
            "per_page_stock": stock,
            "cheaper_notifier_over_harvest": ratios,
            "notifier_with_series_over_stock": growth,
            "damon_per_check": damon,
            "damon_check": of_series(readings, "damon check")[0],
            "residency_agreement": agreement,
            "nested_mapping": nested_mapping(readings),
            "known_code": check_known(readings),
            "known_code_stock": check_known(stock_readings),
            "clock_ns_less_executed": clock_against_count(readings + stock_readings),
        },
        "goals": goals,
        "table": cost_rows(tree, damon, 1) + nested_rows(tree) + stock_rows(stock, growth),
        "raw": {"instructions": raw(groups), "executed": raw(grouped(readings, "executed")),
                "instructions_stock": raw(stock_groups)},
    }


def part_times(directory):
    readings = lines(directory, "times")
    groups = grouped(readings, "ns")
    tree = per_page(groups)
    damon = damon_cost(readings, "thread_ns")
    return {
        "title": "time per page, the first being 1: all accessed / all idle",
        "results": {"notifier_over_harvest": ratios_to_harvest(tree, notifier_loop(tree))},
        "goals": [],
        "table": cost_rows(tree, damon, 2, unit=least(tree, "harvest", "all", "accessed")),
        "raw": {"ns": raw(groups), "thread_ns": raw(grouped(readings, "thread_ns"))},
    }


def part_size(directory):
    readings = read_counted(directory, "size")
    groups = grouped([r for r in readings if r["series"] == "harvest"], "instructions")
    sizes = sorted({pages for _, _, _, pages in groups})
    if len(sizes) != 2:
        raise Nonsense(f"two sizes are to be compared, not {len(sizes)}")
    small, large = sizes
    costs = {}
    for (_, variant, state, pages), values in groups.items():
        costs.setdefault((variant, state), {})[pages] = round(min(values) / pages, 4)
    results = [{"variant": variant, "state": state, "per_page": {str(s): cost[s] for s in sizes},
                "ratio": round(cost[large] / cost[small], 4)}
               for (variant, state), cost in costs.items()]
    worst = max(results, key=lambda result: result["ratio"])
    gib = large / (1 << 18)
    return {
        "title": f"instructions per page, {gib:g} GiB over {small >> 8} MiB",
        "results": {"pages": sizes, "costs": results,
                    "worst": {"variant": worst["variant"], "state": worst["state"]},
                    "known_code": check_known(readings),
                    "clock_ns_less_executed": clock_against_count(readings)},
        "goals": [goal(f"instructions per page, {gib:g} GiB over {small >> 8} MiB, worst variant",
                       worst["ratio"], at_most=1.1)],
        "table": [[f"harvest, {r['variant']}, {r['state']}", f"{r['ratio']:.3f}"]
                  for r in results if r["variant"] in JUDGED],
        "raw": {"instructions": raw(groups)},
    }


# --- faults -------------------------------------------------------------------


def order_interval(values):
    """The narrowest pair of order statistics that holds the median with at least 95 %."""
    n = len(values)
    ordered = sorted(values)
    best = (ordered[0], ordered[-1], 1 - 2 ** (1 - n))
    for rank in range(1, n // 2):
        below = sum(math.comb(n, i) for i in range(rank + 1)) / 2 ** n
        if 1 - 2 * below < 0.95:
            break
        best = (ordered[rank], ordered[n - 1 - rank], 1 - 2 * below)
    return best


def part_faults(directory):
    samples = lines(directory, "faults")
    rates = {}
    if len(samples) % 2:
        raise Nonsense(f"no pairs: {len(samples)} samples")
    # The two of a pair come one after the other, the spinner first.
    for spinner, other in zip(samples[::2], samples[1::2]):
        if (spinner["neighbour"], spinner["pair"]) != ("spinner", other["pair"]) or \
                other["neighbour"] == "spinner":
            raise Nonsense(f"no pair: {spinner['neighbour']} in {spinner['pair']}, "
                           f"{other['neighbour']} in {other['pair']}")
        over_spinner = (other["pages"] / other["ns"]) / (spinner["pages"] / spinner["ns"])
        rates.setdefault(other["neighbour"], []).append(over_spinner)
    results, rows, goals = {}, [], []
    for neighbour, ratios in rates.items():
        low, high, sure = order_interval(ratios)
        busy = [s["neighbour_cpu_ns"] / s["ns"] for s in samples if s["neighbour"] == neighbour]
        results[neighbour] = {
            "pairs": len(ratios),
            "median": round(statistics.median(ratios), 4),
            "low": round(low, 4),
            "high": round(high, 4),
            "coverage": round(sure, 4),
            "ratios": [round(ratio, 4) for ratio in ratios],
            "passes": sum(s["passes"] for s in samples if s["neighbour"] == neighbour),
            "neighbour_share_of_cpu": round(statistics.median(busy), 4),
        }
        rows.append([f"beside the {neighbour}: median of {len(ratios)} [{100 * sure:.0f} % interval]",
                     f"{results[neighbour]['median']:.3f} [{low:.3f}, {high:.3f}]"])
    goals.append(goal("faults per second beside a harvester over beside a spinner",
                      results["harvest"]["median"], at_least=0.95))
    return {"title": "guest's faults per second, over those beside a spinner", "results": results,
            "goals": goals, "table": rows, "raw": samples}


# --- contention -----------------------------------------------------------------


def read_histogram(path):
    """Of each kernel stack: its functions from the innermost on, flags, events."""
    stacks, functions, totals = [], None, {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            end = re.match(r"^, flags:\s*(\d+)\s*} hitcount:\s*(\d+)", line)
            total = re.match(r"^\s+(Hits|Entries|Dropped): (\d+)", line)
            if line.startswith("{ common_stacktrace:"):
                functions = []
            elif end and functions is not None:
                stacks.append((functions, int(end[1]), int(end[2])))
                functions = None
            elif functions is not None and line.strip():
                functions.append(line.strip().split("+")[0])
            elif total:
                totals[total[1]] = int(total[2])
    if totals.get("Dropped"):
        raise Nonsense(f"{path}: {totals['Dropped']} events were dropped")
    if totals.get("Hits") != sum(events for _, _, events in stacks):
        raise Nonsense(f"{path}: its stacks are not all of its events")
    return stacks


def count_events(stacks):
    def events(*conditions):
        return sum(n for functions, flags, n in stacks
                   if all(condition(functions, flags) for condition in conditions))

    def through(pattern):
        return lambda functions, flags: any(pattern.match(function) for function in functions)

    def rwlock(functions, flags):
        return flags & SPIN and flags & (READ | WRITE)

    return {
        "all": events(),
        "mmu_lock": events(rwlock),
        "through_harvest": events(through(HARVEST_FUNCTION)),
        "mmu_lock_through_harvest": events(through(HARVEST_FUNCTION), rwlock),
        "mmu_lock_through_notifier": events(through(NOTIFIER_FUNCTION), rwlock),
        "mmu_lock_through_fault": events(through(FAULT_FUNCTION), rwlock),
    }


def part_contention(directory):
    samples = lines(directory, "contention")
    results, stacks = {}, {}
    for sample in samples:
        name = sample["neighbour"]
        found = read_histogram(os.path.join(directory, "contention", f"contention-{name}.txt"))
        results[name] = {**count_events(found), "faults": sample["faults"],
                         "passes": sample["passes"], "pages_looked_at": sample["pages_looked_at"]}
        stacks[name] = [{"functions": functions, "flags": flags, "events": events}
                        for functions, flags, events in found]
    harvest, notifier = results["harvest"], results["notifier"]
    seen = notifier["mmu_lock_through_notifier"] + notifier["mmu_lock_through_fault"]
    return {
        "title": "waits for KVM's mmu_lock while a guest faults",
        "results": results,
        "goals": [
            goal("waits for mmu_lock in the harvest", harvest["mmu_lock_through_harvest"], at_most=0),
            goal("waits for mmu_lock beside it, anybody's", harvest["mmu_lock"], at_most=0),
            goal("passes of the harvest meanwhile", harvest["passes"], at_least=1),
            goal("faults beside it", harvest["faults"], at_least=1),
            goal("waits for mmu_lock beside the notifier (they are seen)", seen,
                 at_least=1),
        ],
        "table": [[f"beside the {name}: in it / in faults",
                   f"{r['mmu_lock_through_harvest'] + r['mmu_lock_through_notifier']} / "
                   f"{r['mmu_lock_through_fault']} in {r['faults']} faults"]
                  for name, r in results.items()],
        "raw": {"samples": samples, "stacks": stacks},
    }


# --- ageing ----------------------------------------------------------------------


def seen_by_the_other(notes):
    """Of pages that one side has cleared, the least share that the other one has seen, once."""
    shares = []
    for s in notes:
        first, other = ("young", "accessed") if s["first"] == "ageing" else ("accessed", "young")
        if s[first] != s["pages"] or s[other + "_again"]:
            raise Nonsense(f"notes: of {s['pages']} pages {s[first]} were seen by who came first, "
                           f"{s[other + '_again']} twice by the other")
        shares.append(s[other] / s["pages"])
    return round(min(shares), 4)


def shares_beside(samples, member, whole):
    """@member as a share of @whole, in runs without harvests and in runs beside them."""
    shares = {"alone": [], "harvested": []}
    for s in samples:
        if not s[whole] or bool(s["period_ms"]) != bool(s["harvests"] and s["harvested"]):
            raise Nonsense(f"{s['measured']}: {s['harvests']} harvests, one each {s['period_ms']} ms, "
                           f"with {s['harvested']} accessed pages; {s[whole]} {whole}")
        shares["harvested" if s["period_ms"] else "alone"].append(s[member] / s[whole])
    return {name: {"median": round(statistics.median(values), 4),
                   "shares": [round(value, 4) for value in values]}
            for name, values in shares.items()}


def part_ageing(directory):
    """Before and after the patch that lets harvests and the host's ageing leave notes."""
    samples = lines(directory, "ageing")
    results, rows = {}, []
    for series in ("before", "after"):
        notes, damon, reclaim = ([s for s in samples if (s["series"], s["measured"]) == (series, what)]
                                 for what in ("notes", "damon", "reclaim"))
        results[series] = {
            "seen_by_the_other": seen_by_the_other(notes),
            "damon_found": shares_beside(damon, "found_accessed", "checks"),
            "demoted": shares_beside(reclaim, "demoted_guest", "pages"),
        }
    # What the host sees if nobody harvests. The patch changes that path, too: for DAMON what
    # was before it counts. Of what MGLRU demotes chance has the greater part: take all there is.
    found_alone = results["before"]["damon_found"]["alone"]["median"]
    demoted_alone = statistics.median(share for series in results.values()
                                      for share in series["demoted"]["alone"]["shares"])
    if not found_alone:
        raise Nonsense("damon: it finds nothing even without harvests")
    for series, result in results.items():
        seen, found, demoted = (result[what] for what in ("seen_by_the_other", "damon_found", "demoted"))
        result["damon_found_ratio"] = round(found["harvested"]["median"] / found_alone, 4)
        result["demoted_more"] = round(demoted["harvested"]["median"] - demoted_alone, 4)
        rows.append([f"{series}: accessed pages seen by both sides", f"{seen:.0%}"])
        rows += [[f"{series}: {title}, without harvests / with",
                  f"{shares['alone']['median']:.0%} / {shares['harvested']['median']:.0%}"]
                 for title, shares in (("DAMON's checks that find an access", found),
                                       ("hot guest's pages demoted", demoted))]
    before, after = results["before"], results["after"]
    return {
        "title": "harvests beside the host's ageing, before and after the patch for that",
        "results": results,
        "goals": [
            goal("of accessed pages, seen by both sides", after["seen_by_the_other"], at_least=1),
            goal("DAMON finds, beside harvests over without", after["damon_found_ratio"],
                 at_least=0.95),
            goal("share of a hot guest demoted more beside harvests", after["demoted_more"],
                 at_most=0.05),
            # Else what is measured could not show that they blind each other.
            goal("DAMON finds so before the patch (it is blind)", before["damon_found_ratio"],
                 at_most=0.5),
            goal("share demoted more before the patch (MGLRU is blind)", before["demoted_more"],
                 at_least=0.5),
        ],
        "table": rows,
        "raw": samples,
    }


PARTS = {
    "ageing": part_ageing,
    "instructions": part_instructions,
    "times": part_times,
    "size": part_size,
    "faults": part_faults,
    "contention": part_contention,
}


def main():
    name, directory = sys.argv[1:]
    try:
        part = PARTS[name](directory)
    except Nonsense as error:
        sys.exit(f"part.py: {error}")
    with open(os.path.join(directory, name + ".about"), encoding="utf-8") as file:
        part.update(json.load(file))
    json.dump(part, sys.stdout)
    print()


if __name__ == "__main__":
    main()
