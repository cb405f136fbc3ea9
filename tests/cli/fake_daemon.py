#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A vmtierd that answers as it is told: fake_daemon.py SOCKET BEHAVIOUR [ARG]

Prints "ready" once it listens.  Behaviours:
  serve [GUESTS]   status, list, show, pause, resume, metrics and notify of so many guests
  say TEXT         TEXT and an end of line, whatever was asked
  hang             takes the request and never answers
  deaf             never accepts; its backlog is full
  trickle          one byte of an endless answer every 0.1 s
  flood            an answer without end of line and without end
  bye              hangs up at once
  cut              hangs up in the middle of the answer
  log FILE         appends each request to FILE, answers with no parameters
"""
import json
import os
import socket
import sys
import time

HOSTILE = 'evil\x1b[2J\u202e"\\name'


def direction(n, target):
    causes = ["busy", "pinned", "no_memory", "no_huge_page", "shared", "not_mapped", "cpuset",
              "gone", "stale", "other"]
    failed = {c: 0 for c in causes}
    if n % 3 == 1:
        failed.update(busy=2, pinned=14)
    return {"target_node": target, "queued_pages": 3072 * n, "inflight_pages": 512, "done_pages": 393216 + n,
            "failed_pages": failed, "there_pages": 5, "calls": 40, "queries": 41,
            "bytes_per_s": 120 << 20}


def guest(n):
    names = {0: "db1", 1: HOSTILE, 2: "a-rather-long-name-of-a-guest-" + "x" * 200}
    blocked = n == 3
    return {"name": names.get(n, "guest%d" % n), "pid": 4000 + n, "mode": "tier",
            "state": "blocked" if blocked else "active",
            "reason": "the cpuset of the guest forbids every DRAM node (0)" if blocked
            else "harvested every 1.0 s through KVM's page tables",
            "policy": "metadata", "source": "kvm+ring", "ram_pages": 1 << 20,
            "skipped_pages": 16, "skipped_reason": "slot 3 is a ROM", "present_pages": 1 << 19,
            "large_pages": 0, "unknown_pages": 1024 if n == 0 else 0, "accessed_pages": 160000, "written_pages": 1000,
            "hot_pages": 163840, "hot_dram_pages": 160000, "share_pages": 204800,
            "share_limited": True, "node_pages": {"0": 380000, "1": 600000},
            "unplaced_pages": 68576,
            "would_promote_pages": 3072, "would_demote_pages": 0, "passes": 1204,
            "stale_passes": 1, "last_pass_age_ns": 1234567890, "period_ns": 1000000000,
            "rate_limit_bytes_per_s": 256 << 20, "ring_vcpus": 4, "ring_entries": 123456,
            "ring_lost": 2, "ring_bad": 0,
            "directions": {"promote": direction(n, -1 if blocked else 0),
                           "demote": direction(0, 1)}}


def status(n):
    nodes = [{"id": 0, "tier": "dram", "rank": 4, "has_cpu": True, "total_bytes": 64 << 30,
              "free_bytes": 12 << 30, "distance": {"0": 10, "1": 20}},
             {"id": 1, "tier": "cxl", "rank": 45, "has_cpu": False, "total_bytes": 128 << 30,
              "free_bytes": 90 << 30, "distance": {"0": 20, "1": 10}}]
    return {"schema_version": 1, "page_bytes": 4096, "version": "0.1.0", "pid": 812,
            "uptime_ns": 11520 * 10**9, "built_age_ns": 0, "kvm": "patched",
            "problems": ["numad runs and moves pages of guests too"] if n else [],
            "passes": 1204 * n, "policy_errors": 0, "last_policy_error": "", "nodes": nodes,
            "guests": [guest(i) for i in range(n)]}


def answer(request, n):
    method, parameters = request["method"], request.get("parameters", {})
    found = [g for g in status(n)["guests"] if g["name"] == parameters.get("domain")]
    if method == "status":
        return {"parameters": status(n)}
    if method == "list":
        keys = ("name", "pid", "state", "mode")
        guests = [{k: g[k] for k in keys} for g in status(n)["guests"]]
        return {"parameters": {"schema_version": 1, "guests": guests}}
    if method == "metrics":
        return {"parameters": {"text": "# HELP x_total X.\n# TYPE x_total counter\nx_total 1\n"}}
    if method == "notify" or parameters.get("all") is True:
        return {"parameters": {}}
    if parameters.get("domain") == "locked":
        return {"error": "not-permitted", "message": "only root may do this"}
    if not found:
        return {"error": "no-such-domain",
                "message": "no guest is called '%s'" % parameters.get("domain")}
    if method == "show":
        return {"parameters": {"schema_version": 1, "guest": found[0]}}
    return {"parameters": {}}


def read_line(conn):
    data = b""
    while not data.endswith(b"\n"):
        more = conn.recv(1 << 16)
        if not more:
            return None
        data += more
    return data


def handle(conn, behaviour, arg):
    if behaviour == "bye":
        return
    line = read_line(conn)
    if line is None:
        return
    if behaviour == "serve":
        conn.sendall(json.dumps(answer(json.loads(line), int(arg or 4))).encode() + b"\n")
    elif behaviour == "say":
        conn.sendall(os.fsencode(arg) + b"\n")
    elif behaviour == "hang":
        time.sleep(60)
    elif behaviour == "trickle":
        while True:
            conn.sendall(b"{")
            time.sleep(0.1)
    elif behaviour == "flood":
        while True:
            conn.sendall(b'"' * (1 << 20))
    elif behaviour == "cut":
        conn.sendall(b'{"parameters": {"gue')
    elif behaviour == "log":
        with open(arg, "ab") as log:
            log.write(line)
        conn.sendall(b'{"parameters": {}}\n')


def main():
    path, behaviour = sys.argv[1:3]
    arg = sys.argv[3] if len(sys.argv) > 3 else None
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen(0 if behaviour == "deaf" else 8)
    keep = []
    if behaviour == "deaf":
        for _ in range(2):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.setblocking(False)
            try:
                client.connect(path)
            except BlockingIOError:
                pass
            keep.append(client)
    print("ready", flush=True)
    while behaviour == "deaf":
        time.sleep(60)
    while True:
        conn, _ = server.accept()
        try:
            with conn:
                handle(conn, behaviour, arg)
        except (BrokenPipeError, ConnectionResetError):
            pass


main()
