"""Faults and interruptions are told apart."""

from __future__ import annotations

import softprompt as sp


def test_a_loop_that_catches_faults_does_not_swallow_an_interruption() -> None:
    assert not issubclass(sp.Interrupted, (Exception, sp.SoftPromptError))
    assert issubclass(sp.Interrupted, KeyboardInterrupt)
