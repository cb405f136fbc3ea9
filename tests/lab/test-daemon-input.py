#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that one can say to vmtierd, wrongly.

Needs neither the lab nor root: elsewhere it runs as nobody, in a copy, so that
no guest of the machine is looked at.  In the lab a guest is harvested meanwhile,
and its passes must keep their pace.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import daemon as stage
from daemon import Daemon, Vmm, check, main, test, wait_for

IN_LAB = "LAB_KERNEL" in os.environ
REQUEST_MAX = 4 << 20  # VMTIER_REQUEST_MAX
IDLE_S = 5  # VMTIER_IDLE_MS
WRAP = []

if not IN_LAB and os.geteuid() == 0:
    # A directory that nobody can reach, even if the build is in root's home.
    WRAP = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    COPY = tempfile.mkdtemp(prefix="vmtier-copy-", dir="/tmp")
    os.chmod(COPY, 0o755)
    stage.VMTIERD = shutil.copy(stage.VMTIERD, COPY)


def run(*args, config=None):
    """vmtierd that should end by itself: exit code and stderr"""
    directory = tempfile.mkdtemp(prefix="vmtier-", dir="/tmp")
    os.chmod(directory, 0o777)
    command = [*WRAP, stage.VMTIERD, "--socket", directory + "/s", "--hook-socket",
               directory + "/h"]
    if config is not None:
        with open(directory + "/conf", "wb") as file:
            file.write(config)
        command += ["--config", directory + "/conf"]
    try:
        done = subprocess.run(command + list(args), stdin=subprocess.DEVNULL, timeout=20,
                              capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        raise stage.Failure(f"vmtierd {args} should have refused to start") from None
    finally:
        shutil.rmtree(directory)
    return done.returncode, done.stderr.decode(errors="replace")


def refuses(code, *words, args=(), config=None, lines=(1, 2)):
    """ends with @code and with one sentence that holds the words"""
    ended, said = run(*args, config=config)
    check(ended == code, f"{args or config} ends with {code}", ended, said)
    check(all(word in said for word in words), f"it says {words}", said)
    check(lines[0] <= len(said.splitlines()) <= lines[1], "in one sentence", said)


def connect(where):
    """a connection"""
    s = socket.socket(socket.AF_UNIX)
    s.connect(where)  # waits while the queue is full, which it would not with a timeout set
    s.settimeout(20)
    return s


def exchange(where, data):
    """send bytes, and read until the other end has nothing more to say"""
    with connect(where) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while more := s.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
        return answer


def error_of(answer):
    """the error word of the first line"""
    lines = answer.splitlines()
    return json.loads(lines[0]).get("error") if lines else None


class Served:
    """a vmtierd that must go on: in the lab it has a guest, whose passes are counted"""

    def __init__(self):
        self.daemon = Daemon(wrap=WRAP)
        self.guest = None
        if IN_LAB:
            self.guest = Vmm("steady", "-pages", 2048)
            self.guest.do("fill", 1)
            self.guest.do("busy", 0, "ram", "read", 50)
            self.daemon.wait("steady", "is active", 30, lambda g: g["state"] == "active")
        self.pace = self.measure(2) / 2
        self.began = time.monotonic()
        self.passes = self.count()

    def count(self):
        """passes so far"""
        return self.daemon.show("steady")["passes"] if IN_LAB else 0

    def measure(self, seconds):
        """passes in that time, with nothing else going on"""
        before = self.count()
        time.sleep(seconds if IN_LAB else 0)
        return self.count() - before

    def goes_on(self):
        """answers in time, and passes have kept their pace"""
        check(self.daemon.alive(), "vmtierd runs")
        asked = time.monotonic()
        check("guests" in self.daemon.status(), "it answers")
        check(time.monotonic() - asked < 10, "in time", time.monotonic() - asked)
        if IN_LAB:
            due = (time.monotonic() - self.began) * self.pace
            done = self.count() - self.passes
            check(done >= due / 3 - 2, "passes keep their pace", done, due)


@test
def bad_arguments_end_with_2():
    for args in (("--no-such-option",), ("--config",), ("extra",), ("--log-level",), ("-x",)):
        refuses(2, "--help", args=args)
    code, said = run("--help")
    check(code == 0 and not said, "--help is fine", code, said)


@test
def a_bad_configuration_ends_with_78_and_says_where():
    refuses(78, "no log level 'loud'", args=("--log-level", "loud"))
    refuses(78, "cannot read /no/such/file", args=("--config", "/no/such/file"))
    refuses(78, "cannot read /tmp", args=("--config", "/tmp"))
    refuses(78, "is too long", args=("--socket", "/tmp/" + "x" * 200))
    refuses(78, "line 2", "no option 'perriod_ms'", config=b"[harvest]\nperriod_ms = 1\n")
    refuses(78, "line 1", "no option", config=b"period_ms = 1000\n")
    refuses(78, "line 2", "a number from", config=b"[harvest]\nperiod_ms = soon\n")
    refuses(78, "line 2", "a number from", config=b"[harvest]\nperiod_ms = 99999999999999999999\n")
    refuses(78, "line 2", "a number from", config=b"[harvest]\nperiod_ms = -5\n")
    refuses(78, "line 2", "yes or no", config=b"[harvest]\nflush = perhaps\n")
    refuses(78, "line 2", "absolute path", config=b"[daemon]\npolicy_dir = policies\n")
    refuses(78, "line 1", config=b"\x00\xff\x7f\x80garbage\n" * 10)
    refuses(78, config=os.urandom(4096))
    refuses(78, "line", config=b"[harvest]\nperiod_ms = " + b"1" * 100000 + b"\n")


@test
def a_configuration_that_cannot_be_read_ends_with_78():
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        file.write(b"[harvest]\n")
        os.chmod(file.name, 0)
        if WRAP or os.geteuid():
            refuses(78, "cannot read", "Permission denied", args=("--config", file.name))
    # Silence until it comes to an end must not hold vmtierd up for ever, nor must a device.
    refuses(78, "cannot read", args=("--config", "/proc/self/mem"))


@test
def check_config_ends_with_0_or_says_what_is_wrong():
    code, said = run("--check-config", config=b"[harvest]\nperiod_ms = 500\n")
    check(code == 0 and not said, "good", code, said)
    refuses(78, "line 2", args=("--check-config",), config=b"[harvest]\nperiod_ms = 5\n")


@test
def a_socket_that_cannot_be_had_ends_with_69():
    served = Served()
    first = served.daemon
    refuses(69, "is in use", "another vmtierd", args=("--socket", first.socket), lines=(1, 3))
    refuses(69, "cannot listen on", args=("--socket", "/no/such/dir/socket"), lines=(1, 3))
    refuses(69, "cannot listen on", args=("--socket", "/proc/socket"), lines=(1, 3))
    served.goes_on()


@test
def a_socket_file_that_was_left_behind_is_replaced():
    daemon = Daemon(wrap=WRAP)
    daemon.kill()
    check(os.path.exists(daemon.socket), "kill -9 leaves it")
    daemon.start()
    check("guests" in daemon.status(), "the next one answers there")


@test
def what_is_no_request_is_refused_in_words():
    served = Served()
    where = served.daemon.socket
    deep = b"[" * 100000 + b"\n"
    for data in (b"garbage\n", b"\n", b"\x00\n", b"{}\n", b"[]\n", b'"status"\n', b"null\n",
                 b'{"method": 5}\n', b'{"method": "status", "extra": 1}\n',
                 b'{"method": "status", "method": "list"}\n', b'{"method": "sta\\u0000tus"}\n',
                 b'{"method": "status\x00"}\n', b'{"method": "status", "parameters": []}\n',
                 b"\xff\xfe\xfd\n", b'{"method": "\xc3\x28"}\n', deep, os.urandom(64).replace(
                     b"\n", b"x") + b"\n"):
        error = error_of(exchange(where, data))
        check(error == "bad-request", "it is a bad request", data[:40], error)
    for method, error in (("nonsense", "no-such-method"), ("notify", "no-such-method"),
                          ("", "no-such-method"), ("show", "bad-parameters"),
                          ("pause", "bad-parameters")):
        check(served.daemon.ask(method).get("error") == error, f"'{method}' is {error}",
              served.daemon.ask(method))
    for name in ("nobody", "", "x" * 5000, "a\nb", "\u0000"):
        answer = served.daemon.ask("show", domain=name)
        check(answer.get("error") in ("no-such-domain", "bad-parameters", "bad-request"),
              "there is none", name[:10], answer)
    check(error_of(exchange(served.daemon.hook_socket, b'{"method": "status"}\n')) ==
          "no-such-method", "the hook socket takes notify only")
    answer = exchange(served.daemon.hook_socket,
                      b'{"method": "notify", "parameters": {"domain": "d", "operation": "start", '
                      b'"xml": "<domain><metadata><not closed"}}\n')
    check(answer, "a hook with broken XML is answered", answer)
    served.goes_on()


@test
def a_message_without_end_is_cut_off():
    served = Served()
    error = error_of(exchange(served.daemon.socket, b"x" * (REQUEST_MAX + 100)))
    check(error == "bad-request", "it is too long", error)
    error = error_of(exchange(served.daemon.socket,
                              b'{"method": "' + b"y" * (REQUEST_MAX - 1000) + b'"}\n'))
    check(error == "no-such-method", "one that just fits is read", error)
    with connect(served.daemon.socket) as s:
        sent = 0
        try:
            while sent < 64 * REQUEST_MAX:
                sent += s.send(b"z" * 65536)
        except OSError:
            pass
        check(sent < 8 * REQUEST_MAX, "it does not read on for ever", sent)
    check(served.daemon.rss_kib() < 64 * 1024, "nor keeps it", served.daemon.rss_kib())
    served.goes_on()


@test
def many_requests_in_one_go_are_all_answered():
    served = Served()
    answer = exchange(served.daemon.socket, b'{"method": "list"}\n' * 500)
    check(len(answer.splitlines()) == 500, "one line each", len(answer.splitlines()))
    served.goes_on()


@test
def clients_that_hang_are_hung_up_on():
    served = Served()
    where = served.daemon.socket
    silent = [connect(where) for _ in range(5)]
    halves = [connect(where) for _ in range(5)]
    deaf = [connect(where) for _ in range(5)]
    for s in halves:
        s.sendall(b'{"method": "stat')
    for s in deaf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.setblocking(False)
        try:
            for _ in range(2000):
                s.send(b'{"method": "status"}\n' * 20)
        except BlockingIOError:
            pass
    served.goes_on()
    time.sleep(IDLE_S + 2)
    for s in silent + halves:
        s.settimeout(3)
        try:
            check(s.recv(100) == b"", "it is hung up on")
        except ConnectionResetError:
            pass
    mine = len(silent + halves + deaf)
    wait_for("their fds are closed", 10, lambda: len(served.daemon.fds()) < 10 + mine)
    served.goes_on()
    for s in silent + halves + deaf:
        s.close()


@test
def a_hundred_connections_at_once_leave_room_for_the_next():
    served = Served()
    before = len(served.daemon.fds())
    crowd = []
    for _ in range(100):
        s = connect(served.daemon.socket)
        try:
            s.sendall(b'{"met')
        except OSError:
            pass  # one too many
        crowd.append(s)
    check(served.daemon.alive(), "vmtierd runs")
    code, _, err = served.daemon.ctl("status")
    check(code == 0 or (code in (1, 3) and len(err.splitlines()) == 1),
          "vmtierctl is answered or says in a sentence that it is not", code, err)
    check(len(served.daemon.fds()) <= before + 40, "their number is limited",
          len(served.daemon.fds()))
    for s in crowd:
        s.close()
    wait_for("all are gone", 10, lambda: len(served.daemon.fds()) <= before + 1)
    served.goes_on()


@test
def a_thousand_clients_that_come_and_go_leave_nothing():
    served = Served()
    where = served.daemon.socket
    for data in (b"", b"{", b'{"method": "list"}\n'):
        connect(where).close()
        exchange(where, data)
    before, rss = len(served.daemon.fds()), served.daemon.rss_kib()
    for n in range(1000):
        with connect(where) as s:
            if n % 3:
                s.sendall(b'{"method": "list"}\n' if n % 3 == 1 else b"half")
    wait_for("no fd is left", 10, lambda: len(served.daemon.fds()) <= before)
    check(served.daemon.rss_kib() <= rss + 1024, "nor memory", rss, served.daemon.rss_kib())
    served.goes_on()


@test
def sighup_reads_policies_again_and_a_bad_one_changes_nothing():
    served = Served()
    served.daemon.set_policy("steady", "<mode>observe</mode>")
    served.daemon.process.send_signal(signal.SIGHUP)
    wait_for("it has read them", 5, lambda: "reading policies again" in served.daemon.said())
    if IN_LAB:
        served.daemon.wait("steady", "is only observed", 5, lambda g: g["mode"] == "observe")
    served.daemon.set_policy("steady", "<mode>everything</mode>")
    served.daemon.process.send_signal(signal.SIGHUP)
    wait_for("it has read them twice", 5,
             lambda: served.daemon.said().count("reading policies again") == 2)
    if IN_LAB:
        wait_for("the bad one is counted", 20, lambda: served.daemon.status()["policy_errors"])
        check(served.daemon.show("steady")["mode"] == "observe", "the last good one holds")
    served.goes_on()


try:
    main()
finally:
    if WRAP:
        shutil.rmtree(COPY)
