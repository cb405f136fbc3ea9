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
  lost     how often the lab was lost and started again
  series   which kernel series that was: a hash of it
lab/lib/figures_kernel.py takes any such file, wherever it comes from.
"""

import json
import math
import os
import re
import statistics
import sys

HARVESTS = ("all bitmaps", "accessed and present", "all bitmaps, peek", "accessed and present, peek",
            "all bitmaps and dirty", "accessed, present and dirty")
STATES = ("accessed", "idle")

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


def word(directory, name):
    with open(os.path.join(directory, name), encoding="utf-8") as file:
        return file.read().strip()


def goal(name, value, at_least=None, at_most=None):
    met = value >= at_least if at_least is not None else value <= at_most
    limit = {"at_least": at_least} if at_least is not None else {"at_most": at_most}
    return {"name": name, "value": value, **limit, "met": met}


# --- counted and timed intervals ---------------------------------------------


def join_counts(directory, part, readings):
    """Add the plugin's counts: the n-th interval of the run is its n-th line."""
    with open(os.path.join(directory, part + ".counts"), encoding="utf-8") as file:
        counts = [tuple(map(int, line.split())) for line in file]
    intervals = [reading for reading in readings if "interval" in reading]
    if len(counts) != len(intervals):
        raise Nonsense(f"{part}: {len(intervals)} intervals, and {len(counts)} were counted")
    for reading, (_, executed, turns) in zip(intervals, counts):
        reading["executed"] = executed
        reading["instructions"] = executed - turns


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
    for reading in readings:
        if reading["series"] == "known":
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
    apart = [reading["ns"] - reading["executed"] for reading in readings if "executed" in reading]
    # Windows in which the machine sleeps have nothing to compare.
    near = [value for value in apart if abs(value) < 10000]
    return {"intervals": len(near), "least": min(near), "most": max(near)}


def damon_cost(readings, member):
    """Per check, of the windows with DAMON less those without."""
    without = [r[member] for r in readings if r["series"] == "damon" and r["variant"] == "without"]
    windows = [r for r in readings if r["series"] == "damon" and r["variant"] == "with"]
    if not windows:
        return None
    costs = [(r[member] - statistics.median(without)) / r["pages"] for r in windows]
    return {"checks": [r["pages"] for r in windows], "least": round(min(costs), 1),
            "median": round(statistics.median(costs), 1)}


def least(tree, series, variant, state):
    try:
        return tree[series][variant][state]["least"]
    except KeyError:
        return None


def ratios_to_harvest(tree):
    """How many times more than each harvest the notifier's page by page loop takes."""
    result = {}
    for variant in HARVESTS:
        for state in STATES:
            cost = least(tree, "harvest", variant, state)
            if cost:
                notifier = least(tree, "notifier", "page by page", state)
                result.setdefault(variant, {})[state] = round(notifier / cost, 2)
    return result


def cost_rows(tree, digits):
    rows = []
    for series, variants, title in (
            ("harvest", HARVESTS, "harvest"),
            ("notifier", ("page by page", "2 MiB at a time"), "notifier"),
            ("mglru", ("one ageing",), "MGLRU")):
        for variant in variants:
            costs = [least(tree, series, variant, state) for state in STATES]
            if None not in costs:
                rows.append([f"{title}, {variant}", f"{costs[0]:.{digits}f} / {costs[1]:.{digits}f}"])
    return rows


def residency_rows(tree):
    titles = {"harvest": "harvest's on_nodes, peek", "pagemap": "pagemap and a table of frames",
              "move_pages": "move_pages without nodes"}
    return [[f"where is it: {title}", f"{least(tree, 'residency', name, 'any'):.1f}"]
            for name, title in titles.items()]


def part_instructions(directory):
    readings = lines(directory, "instructions")
    join_counts(directory, "instructions", readings)
    groups = grouped(readings, "instructions")
    tree = per_page(groups)
    ratios = ratios_to_harvest(tree)
    damon = damon_cost(readings, "instructions")
    agreement = next(r for r in readings if r["series"] == "residency agreement")
    goals = [goal(f"instructions, notifier over harvest, {variant}, {state}",
                  ratios[variant][state], at_least=10)
             for variant in HARVESTS[:2] for state in STATES]
    goals.append(goal("pages on whose node harvest, pagemap, move_pages disagree",
                      2 * agreement["pages"] - agreement["as_pagemap"] - agreement["as_move_pages"],
                      at_most=0))
    rows = cost_rows(tree, 1)
    rows.append(["DAMON, a check of an idle page", f"{damon['median']:.0f}"])
    return {
        "title": "instructions per page: all accessed / all idle",
        "results": {
            "per_page": tree,
            "notifier_over_harvest": ratios,
            "damon_per_check": damon,
            "damon_check": next(r for r in readings if r["series"] == "damon check"),
            "residency_agreement": agreement,
            "known_code": check_known(readings),
            "clock_ns_less_executed": clock_against_count(readings),
        },
        "goals": goals,
        "table": rows + residency_rows(tree),
        "raw": {"instructions": raw(groups), "executed": raw(grouped(readings, "executed"))},
    }


def part_times(directory):
    readings = lines(directory, "times")
    groups = grouped(readings, "ns")
    tree = per_page(groups)
    base = least(tree, "harvest", "all bitmaps", "accessed")
    rows = [[text, value] for text, value in cost_rows(
        {series: {variant: {state: {"least": cost["least"] / base} for state, cost in states.items()}
                  for variant, states in variants.items()} for series, variants in tree.items()}, 2)]
    return {
        "title": "time per page, the first being 1: all accessed / all idle",
        "results": {"notifier_over_harvest": ratios_to_harvest(tree)},
        "goals": [],
        "table": rows,
        "raw": {"ns": raw(groups)},
    }


def part_size(directory):
    readings = lines(directory, "size")
    join_counts(directory, "size", readings)
    groups = grouped(readings, "instructions")
    sizes = sorted({pages for _, _, _, pages in groups})
    small, large = sizes[0], sizes[-1]
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
                    "worst": {"variant": worst["variant"], "state": worst["state"]}},
        "goals": [goal(f"instructions per page, {gib:g} GiB over {small >> 8} MiB, worst variant",
                       worst["ratio"], at_most=1.1)],
        "table": [[f"harvest, {r['variant']}, {r['state']}", f"{r['ratio']:.3f}"]
                  for r in results if r["variant"] in HARVESTS[:2]],
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
    spinner = None
    for sample in samples:
        rate = sample["pages"] / sample["ns"]
        if sample["neighbour"] == "spinner":
            spinner = rate
        else:
            rates.setdefault(sample["neighbour"], []).append(rate / spinner)
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
    stacks, functions = [], None
    with open(path, encoding="utf-8") as file:
        for line in file:
            end = re.match(r"^, flags:\s*(\d+)\s*} hitcount:\s*(\d+)", line)
            if line.startswith("{ common_stacktrace:"):
                functions = []
            elif end and functions is not None:
                stacks.append((functions, int(end[1]), int(end[2])))
                functions = None
            elif functions is not None and line.strip():
                functions.append(line.strip().split("+")[0])
            elif re.match(r"^\s+Dropped: [1-9]", line):
                raise Nonsense(f"{path}: events were dropped")
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
            goal("waits for mmu_lock of faults beside it", harvest["mmu_lock_through_fault"],
                 at_most=0),
            goal("waits for mmu_lock beside the notifier (they are seen)", seen,
                 at_least=1),
        ],
        "table": [[f"beside the {name}: in it / in faults",
                   f"{r['mmu_lock_through_harvest'] + r['mmu_lock_through_notifier']} / "
                   f"{r['mmu_lock_through_fault']} in {r['faults']} faults"]
                  for name, r in results.items()],
        "raw": {"samples": samples, "stacks": stacks},
    }


PARTS = {
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
    part["lost"] = int(word(directory, name + ".restarts"))
    part["series"] = word(directory, name + ".series")
    json.dump(part, sys.stdout)
    print()


main()
