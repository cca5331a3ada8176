"""The lock is had in order: a thread that takes it again and again keeps nobody out."""

from __future__ import annotations

import threading
import time

from softprompt.serving.turns import Turns


def test_whoever_waits_has_it_before_who_just_had_it_and_one_thread_may_nest() -> None:
    turns, stop, had = Turns(), threading.Event(), []

    def again_and_again() -> None:
        while not stop.is_set():
            with turns, turns:
                time.sleep(0.002)
                had.append("busy")

    busy = threading.Thread(target=again_and_again)
    busy.start()
    while not had:
        time.sleep(0.001)
    for _ in range(20):
        before = len(had)
        with turns:
            assert len(had) - before <= 2
    stop.set()
    busy.join()


def test_it_is_had_by_one_at_a_time() -> None:
    turns, inside, most = Turns(), [], []

    def enter() -> None:
        for _ in range(50):
            with turns:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert max(most) == 1
    assert len(most) == 200
