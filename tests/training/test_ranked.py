"""Two ranks train what one process trains, from the same batches; files are rank 0's, and a fault is told once.

All of the first tests look at one start of two processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from softprompt.errors import SoftPromptError
from softprompt.files.places import RUN

from ..shared import ranked
from ..shared.ranked import CASES, MORE, SPLIT, rows, trained, two_ranks

PROMPT = Path("prompt", "prompt.safetensors")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two ranks trained the cases."""
    folder = tmp_path_factory.mktemp("ranks")
    rows(folder)
    codes, said = two_ranks(folder, "everyday")
    assert codes == [0, 0], "\n".join(said)
    assert said == []
    return folder


@pytest.fixture(scope="module")
def told(both: Path) -> list[dict[str, Any]]:
    """What each rank saw."""
    return [json.loads((both / f"rank-{rank}.json").read_text()) for rank in (0, 1)]


def _same(found: Path, wanted: Path, case: str) -> None:
    """The same prompt, evaluations and steps to 1e-5."""
    one, other = load_file(found / case / PROMPT), load_file(wanted / case / PROMPT)
    assert one.keys() == other.keys()
    for name in other:
        assert_close(one[name], other[name], rtol=1e-5, atol=1e-5, msg=name)
    theirs, ours = (json.loads((folder / case / "metrics.json").read_text()) for folder in (found, wanted))
    assert len(theirs["history"]) == len(ours["history"]) > 1
    for part in ("test", "validation"):
        assert theirs[part].keys() == ours[part].keys()
    for entry, own in zip(theirs["history"], ours["history"], strict=True):
        assert entry.keys() == own.keys()
        numbers = [name for name in own if isinstance(own[name], float)]
        assert_close([entry[name] for name in numbers], [own[name] for name in numbers], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_train_what_one_process_trains(case: str, both: Path, tmp_path: Path) -> None:
    rows(tmp_path)
    trained(tmp_path / case, case)
    _same(both, tmp_path, case)


def test_a_step_sends_the_gradient_of_the_prompt_and_three_numbers(told: list[dict[str, Any]], both: Path) -> None:
    prompt = sum(one.numel() for one in load_file(both / "prompt_tuning" / PROMPT).values())
    for rank in told:
        assert rank["sent"] == [4 * (prompt + 3)] * 8  # its loss, whether to stop, whether the table took part


def test_rank_0_alone_touches_files(told: list[dict[str, Any]]) -> None:
    assert told[0]["written"]
    assert told[1]["written"] == []


def test_what_one_rank_is_asked_stops_both_and_goes_on_to_the_same_bytes(
    told: list[dict[str, Any]], both: Path
) -> None:
    """With each rank's own dropout, which is drawn again as it was."""
    assert [rank["stopped"] for rank in told] == [True, True]
    assert (both / "straight" / PROMPT).read_bytes() == (both / "stopped" / PROMPT).read_bytes()


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("unlike", "rank 1 is about to train another run than rank 0 (rows differs)"),
        ("fault", "option 'learning_rate' of training: Input should be greater than 0"),
        ("small", "batch_size 1 is less than the 2 ranks"),
        ("course", "method 'soft_words': its course 'mixture' runs in one process"),
        ("coupled", "method 'smop': its loss has a term of the whole batch"),
    ],
)
def test_what_one_rank_finds_all_say_and_leave_nothing(
    what: str, line: str, told: list[dict[str, Any]], both: Path
) -> None:
    assert all(rank["refused"][what].startswith(line) for rank in told)
    assert told[0]["refused"] == told[1]["refused"]
    assert not (both / what).exists()


def test_each_fault_of_a_script_is_told_once_however_often_its_ranks_meet(told: list[dict[str, Any]]) -> None:
    assert [{*both} for both in zip(*(rank["heard"] for rank in told), strict=True)] == [
        {"SoftPromptError", "ToldElsewhere"}
    ] * 3


def test_the_verdict_on_a_folder_is_everyones(told: list[dict[str, Any]], both: Path) -> None:
    assert all("holds a run already" in rank["held"] for rank in told)
    measured = json.loads((both / "capt" / "metrics.json").read_text())["test"]
    assert [rank["again"] for rank in told] == [measured, measured]


def test_a_run_goes_on_with_as_many_ranks_as_it_was_begun_with(both: Path, tmp_path: Path) -> None:
    assert json.loads((both / "capt" / RUN).read_text())["ranks"] == 2
    (both / "capt" / "metrics.json").rename(tmp_path / "metrics.json")
    try:
        with pytest.raises(SoftPromptError, match="begun on 2 ranks, and here are 1, .*torchrun --nproc-per-node 2"):
            trained(both / "capt", "capt", resume=True)
    finally:
        (tmp_path / "metrics.json").rename(both / "capt" / "metrics.json")
    assert trained(both / "capt", "capt", resume=True).metrics["test"]  # finished: it is read


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, list[int], list[str]]]:
    """Starts two ranks of their own."""
    folder = tmp_path_factory.mktemp("others")
    rows(folder)
    return lambda what: (folder, *two_ranks(folder, what))


@pytest.mark.slow
def test_two_ranks_train_over_a_split_backbone_what_one_process_trains(
    others: Callable[[str], tuple[Path, list[int], list[str]]], tmp_path: Path
) -> None:
    folder, codes, said = others("split")
    assert (codes, said) == ([0, 0], [])
    rows(tmp_path)
    for case in SPLIT:
        trained(tmp_path / case, case)
        _same(folder, tmp_path, case)
    told = [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    measured = json.loads((folder / "capt" / "metrics.json").read_text())["test"]
    assert [rank["again"] for rank in told] == [measured, measured]  # a finished run is read
    for rank in told:  # a head that is not called is kept as little as what is split, and what is gathered goes back
        assert rank["whole"] == {case: [] for case in SPLIT}
        assert rank["kept"] < 16 << 20
    assert set(told[0]["refused"]) == {"spt", "lora", "xprompt"}
    assert all("which shard splits: leave shard out" in line for rank in told for line in rank["refused"].values())


def test_one_process_has_nobody_to_split_a_backbone_with(tmp_path: Path) -> None:
    rows(tmp_path)
    with pytest.raises(SoftPromptError, match="shard splits the backbone over several ranks, and here is one"):
        trained(tmp_path / "run", "capt", shard=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_other_cases(others: Callable[[str], tuple[Path, list[int], list[str]]], tmp_path: Path) -> None:
    folder, codes, said = others("more")
    assert codes == [0, 0], said
    rows(tmp_path)
    for case in MORE:
        trained(tmp_path / case, case)
        _same(folder, tmp_path, case)


@pytest.mark.slow
def test_a_killed_rank_ends_both_and_they_go_on_to_the_same_result(
    others: Callable[[str], tuple[Path, list[int], list[str]]], both: Path, tmp_path: Path
) -> None:
    folder, codes, said = others("killed")
    assert codes == [1, -9]
    assert len(said) == 1
    assert said[0].startswith("error: another rank of this training ended")
    assert not (folder / "killed" / "metrics.json").exists()
    assert others("going_on")[1:] == ([0, 0], [])
    rows(tmp_path)
    trained(tmp_path / "killed", "capt", evaluations=4)
    _same(folder, tmp_path, "killed")


@pytest.mark.slow
def test_a_fault_of_one_rank_ends_both_and_is_told_once(
    others: Callable[[str], tuple[Path, list[int], list[str]]],
) -> None:
    _, codes, said = others("faulty")
    assert codes == [1, 1]
    assert said == ["error: the cable of rank 1 is out: put it back"]


@pytest.mark.slow
def test_the_command_line_under_torchrun(tmp_path: Path) -> None:
    """One line of a fault, one report of a run, whichever rank it is."""
    ranked.rows(tmp_path)
    ranked.backbone(tmp_path / "tiny")
    given = ["train", "--backbone", "tiny", "--data", "rows/rows.jsonl", "--method", "capt", "--epochs", "1"]
    done = ranked.torchrun(tmp_path, *given, "--out", "run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == "capt"
    for words, line in ((given, "error: run holds a run already"), (["predict", "run", "w20"], "error: softprompt pr")):
        done = ranked.torchrun(tmp_path, *words, *(["--out", "run"] if words is given else []))
        assert done.returncode == 1
        assert done.stdout == ""
        assert len([one for one in done.stderr.splitlines() if one.startswith(line)]) == 1
        assert "softprompt" not in done.stderr.partition("torch/distributed/elastic")[0].replace(line, "")
