"""A table made by Ray beside the same table made by the local executor, while workers and nodes are killed.

python benchmarks/cluster.py --work FOLDER [--show killed|nodes|gone]

Needs softprompt[cluster], the tests' tiny models, and for `nodes` pyftpdlib. Everything runs on this
machine; what it shows is printed, and written to benchmarks/results/cluster.json.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "cluster.json"
LONGEST = 600.0  # seconds until a moment comes
PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"  # of Ray's processes with their head
PORT, STORE_PORT, CLIENT_PORT = 6399, 5999, 10001


def table(work: Path, out: str, plan: Path, *options: str, meanwhile: Callable[[Path], None] | None = None) -> float:
    """Make a table by the command line, and do something meanwhile; the seconds it took."""
    folder, begun = work / out, time.monotonic()
    command = [sys.executable, "-m", "softprompt", "compare", plan, "--out", folder, *options]
    process = subprocess.Popen([*map(str, command)])
    if meanwhile is not None:
        meanwhile(folder)
    process.wait()
    print(f"{out}: exit code {process.returncode}", flush=True)
    return time.monotonic() - begun


def until(moment: Callable[[], Any]) -> Any:
    """Wait for something to be so."""
    begun = time.monotonic()
    while not (found := moment()):
        if time.monotonic() - begun > LONGEST:
            raise SystemExit("the moment never came")
        time.sleep(0.01)
    return found


def below(process: psutil.Process) -> list[psutil.Process]:
    """The processes that a process began, and those that they began."""
    return process.children(recursive=True)


def command(process: psutil.Process) -> str:
    """The command of a process; nothing where it has left."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def working() -> list[psutil.Process]:
    """The processes of ours that have a cell in hand: Ray names them by their tasks."""
    return [one for one in below(psutil.Process()) if command(one).startswith("ray::words-")]


def in_the_middle(cells: Path) -> bool:
    """Whether a cell has written a state and is not finished."""
    return any(not (path.parents[2] / "metrics.json").exists() for path in cells.glob("*/state/*/checkpoint-*")) or any(
        not (path.parents[1] / "metrics.json").exists() for path in cells.glob("*/state/checkpoint-*")
    )


def same(one: Path, other: Path) -> bool:
    """Whether two tables have the same cells to the byte, but for times."""
    sys.path.insert(0, str(ROOT))
    from tests.shared.tables_of_runs import outcome

    names = [sorted(path.name for path in (folder / "cells").iterdir()) for folder in (one, other)]
    cells = [{name: outcome(folder / "cells" / name) for name in names[0]} for folder in (one, other)]
    texts = [
        {name: (folder / "cells" / name / "predictions.json").read_bytes() for name in names[0]}
        for folder in (one, other)
    ]
    return names[0] == names[1] and cells[0] == cells[1] and texts[0] == texts[1]


def killed(work: Path, plan: Path) -> dict[str, Any]:
    """Two workers on one machine; one is killed with SIGKILL in the middle of a cell."""

    def kill(folder: Path) -> None:
        until(lambda: in_the_middle(folder / "cells"))
        until(working)[0].kill()
        print("killed a worker", flush=True)

    seconds = table(work, "killed", plan, "--on", "ray", "--workers", "2", meanwhile=kill)
    return {"seconds": seconds, "same": same(work / "local", work / "killed")}


def ray(*words: str, folder: Path) -> None:
    """Run Ray's own command for a node, whose scratch stands in a folder of its own."""
    environment = {**os.environ, "TMPDIR": str(folder), "RAY_TMPDIR": "/tmp/ray"}
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).parent / "ray"), *words]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stop_node(folder: Path) -> None:
    """Kill the processes of a node, which its folder tells, and those that they began."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(folder):
                for one in (process, *below(process)):
                    with suppress(psutil.Error):
                        one.kill()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder behind a socket, by FTP; its address."""
    folder.mkdir()
    words = ["-m", "pyftpdlib", "-i", "127.0.0.1", "-p", str(STORE_PORT), "-u", "own", "-P", "own", "-w", "-d", folder]
    server = subprocess.Popen([sys.executable, *map(str, words)], stderr=subprocess.DEVNULL)
    try:
        time.sleep(3)
        yield f"ftp://own:own@127.0.0.1:{STORE_PORT}"
    finally:
        server.kill()
        server.wait()


def nodes(work: Path, plan: Path) -> dict[str, Any]:
    """Two nodes with scratch of their own and a store over a socket; one node is killed with its worker."""
    (work / "token").write_text(secrets.token_hex(32))  # Ray's nodes know one another by it
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{work}/token"}
    own = [work / "node1", work / "node2"]
    with served(work / "served") as address:
        try:
            small = ("--num-cpus=1", "--disable-usage-stats")
            client = f"--ray-client-server-port={CLIENT_PORT}"
            ray("start", "--head", f"--port={PORT}", client, "--include-dashboard=false", *small, folder=own[0])
            ray("start", f"--address=127.0.0.1:{PORT}", *small, folder=own[1])
            store = ("--store", f"{address}/killed")
            os.environ["RAY_ADDRESS"] = f"127.0.0.1:{PORT}"
            seconds = table(work, "nodes", plan, "--on", "ray", *store, meanwhile=lambda _: kill_node(work))
            del os.environ["RAY_ADDRESS"]
            outside = ("--on", f"ray://127.0.0.1:{CLIENT_PORT}", "--store", f"{address}/client")
            by_client = table(work, "client", plan, *outside)
            again = table(work, "again", plan, "--on", f"ray://127.0.0.1:{CLIENT_PORT}", *store)
        finally:
            for folder in own:
                stop_node(folder)
    return {
        "seconds": seconds,
        "client_seconds": by_client,
        "brought_again_seconds": again,
        "nodes_that_worked": sum((folder / "softprompt-cells").is_dir() for folder in own),
        **{f"same_{name}": same(work / "local", work / name) for name in ("nodes", "client", "again")},
    }


def kill_node(work: Path) -> None:
    """Kill the second node, Ray and worker, once it has left a copy of a cell that it is at."""

    def at_it() -> bool:
        names = [path.parent.name for path in work.glob("node2/softprompt-cells/.softprompt-new-*/*/run.json")]
        return any(any((work / "served" / "killed" / name).glob("*-left-*.zip")) for name in names)

    until(at_it)
    stop_node(work / "node2")
    print("killed a node", flush=True)


def gone(work: Path, plan: Path) -> dict[str, Any]:
    """The cluster's head dies in the middle of a cell; the same command finishes the table in another.

    Ray waits a minute for a head to come back, in which a small table is finished; here it waits less.
    """

    def kill(folder: Path) -> None:
        until(lambda: in_the_middle(folder / "cells"))
        next(one for one in below(psutil.Process()) if "gcs_server" in command(one)).kill()
        print("killed the cluster's head", flush=True)

    os.environ[PATIENCE] = "3"
    first = table(work, "gone", plan, "--on", "ray", "--workers", "2", meanwhile=kill)
    del os.environ[PATIENCE]
    again = table(work, "gone", plan, "--on", "ray", "--workers", "2")
    return {"seconds": first, "again_seconds": again, "same": same(work / "local", work / "gone")}


SHOWS = {"killed": killed, "nodes": nodes, "gone": gone}


def main() -> None:
    """Show what was asked, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--show", choices=SHOWS, action="append")
    parser.add_argument("--steps", type=int, default=400)
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.shared.tables_of_runs import bench

    work = given.work.absolute()
    work.mkdir(parents=True)
    quick = {"max_steps": given.steps, "evaluations": 20, "batch_size": 4, "learning_rate": 0.01, "patience": 99}
    methods = [{"name": "prompt_tuning", "set": {**quick, "num_virtual_tokens": 2}}, {"name": "lora", "set": quick}]
    plan = bench(work).write(work / "plan.yaml", methods=methods)
    table(work, "local", plan, "--workers", "2")
    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in given.show or SHOWS:
        found[name] = SHOWS[name](work, plan)
        print(name, found[name], flush=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
