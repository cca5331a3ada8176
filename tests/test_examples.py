"""The files that a page hands out: their syntax, and what of them is ours."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from softprompt.compare.plan import plan_of

from .shared.commands import COMMANDS

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
SLURM, KUBERAY, IMAGE = (EXAMPLES / name for name in ("compare.slurm", "kuberay.yaml", "Dockerfile"))


def typed(line: str) -> dict[str, Any]:
    """What the program reads of a command line."""
    words = shlex.split(line)
    assert words[:2] == ["softprompt", "compare"], words
    return dict(COMMANDS["compare"].make_context("softprompt", words[2:]).params)


def test_each_file_is_named_on_a_page() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert {path.name for path in EXAMPLES.iterdir()} == set(re.findall(r"\]\(examples/([\w.]+)\)", pages))


def test_the_slurm_script_is_a_shells_and_its_command_the_programs() -> None:
    subprocess.run(["bash", "-n", str(SLURM)], check=True)
    text = SLURM.read_text(encoding="utf-8").replace("\\\n", " ")
    (command,) = re.findall(r"-- (softprompt .*)", text)
    assert typed(command.replace("$plan", "plan.yaml").replace("$table", "table"))["on"] == "ray"
    wanted = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", text, re.M))
    assert wanted["ntasks-per-node"] == "1", "one Ray a node"
    assert {"nodes", "cpus-per-task", "time"} <= wanted.keys()


def test_the_slurm_script_starts_ray_on_every_node(tmp_path: Path) -> None:
    """SLURM's commands are stood in for: what the shell makes of the script is what they are given."""
    (tmp_path / "scontrol").write_text('#!/bin/bash\n[ "$*" = "show hostnames n[1-2]" ]\nprintf "n1\\nn2\\n"\n')
    (tmp_path / "ray").write_text('#!/bin/bash\n[ "$*" = "get-auth-token --generate" ]\necho secret\n')
    (tmp_path / "srun").write_text('#!/bin/bash\nprintf "%s\\n" "$RAY_ADDRESS" "$@"\n')
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    own = {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "16"}
    own["PATH"] = f"{tmp_path}:/usr/bin:/bin"
    command = ["bash", str(SLURM), "my plan.yaml", "runs/table"]
    given = subprocess.run(command, check=True, env=own, capture_output=True, text=True).stdout.splitlines()
    ray = ["ray", "symmetric-run", "--address", "n1:6379", "--min-nodes", "2", "--num-cpus", "16", "--"]
    assert given == ["n1:6379", *ray, *shlex.split("softprompt compare 'my plan.yaml' --out runs/table --on ray")]
    assert subprocess.run(command[:3], env=own, capture_output=True).returncode != 0


def test_the_kubernetes_job_is_yaml_with_our_plan_and_command() -> None:
    plan, job = yaml.safe_load_all(KUBERAY.read_text(encoding="utf-8"))
    assert (plan["kind"], job["kind"], job["apiVersion"]) == ("ConfigMap", "RayJob", "ray.io/v1")
    (name,) = plan["data"]
    plan_of(yaml.safe_load(plan["data"][name]), name)
    cluster = job["spec"]["rayClusterSpec"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    (mount,) = head["containers"][0]["volumeMounts"]
    (volume,) = head["volumes"]
    assert (mount["name"], volume["configMap"]["name"]) == (volume["name"], plan["metadata"]["name"])
    found = typed(job["spec"]["entrypoint"])
    assert (str(found["plan"]), found["on"], found["store"]) == (
        f"{mount['mountPath']}/{name}",
        "ray",
        "s3://BUCKET/table",
    )
    (workers,) = cluster["workerGroupSpecs"]
    assert cluster["authOptions"] == {"mode": "token"}
    pods = [head["containers"][0], workers["template"]["spec"]["containers"][0]]
    assert pods[0]["image"] == pods[1]["image"]
    assert pods[0]["envFrom"] == pods[1]["envFrom"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert f"rayproject/ray:{cluster['rayVersion']}" in IMAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("extra", ["cluster"])
def test_the_image_takes_an_extra_that_there_is(extra: str) -> None:
    (line,) = re.findall(r"'softprompt\[([\w,]+)\]'", IMAGE.read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert extra in line.split(",")
    assert all(re.search(rf"^{one} = \[", project, re.M) for one in line.split(","))
