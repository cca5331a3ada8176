"""The finished runs of long tables, kept beside the figures, so that a table can grow over days and machines.

    python benchmarks/cells.py keep runs/verdict [FOLDER ...]    what is finished below the folders joins the archive
    python benchmarks/cells.py unpack runs/kept                  and lies there again, for `results` to read
    softprompt results runs/kept --baseline capt

Of a run what `softprompt results` reads is kept: `run.json`, `metrics.json` and `predictions.json`, no prompt. A run
takes the place of one of its name that is in the archive. The archive is benchmarks/results/verdict.tar.xz, or
`--archive`; the same runs give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ARCHIVE = Path(__file__).parent / "results" / "verdict.tar.xz"
FILES = ("run.json", "metrics.json", "predictions.json")
Runs = dict[str, dict[str, bytes]]  # the files of each run, by the run's name


def kept(archive: Path) -> Runs:
    """The runs of an archive; none where there is none yet."""
    found: Runs = {}
    if archive.is_file():
        with tarfile.open(archive) as packed:
            for member in packed:
                name, _, file = member.name.partition("/")
                content = packed.extractfile(member)
                if file in FILES and content is not None:
                    found.setdefault(name, {})[file] = content.read()
    return found


def finished(folders: Sequence[Path]) -> Runs:
    """The finished runs below folders, each by the name of its own; two of one name must be one run.

    Raises:
        SystemExit: they are not.
    """
    found: Runs = {}
    for folder in folders:
        for metrics in sorted(folder.rglob("metrics.json")):
            place = metrics.parent
            own = {name: (place / name).read_bytes() for name in FILES if (place / name).is_file()}
            if found.setdefault(place.name, own) != own:
                raise SystemExit(f"{place}: another run of this name lies below the folders; give one of them")
    return found


def write(runs: Mapping[str, Mapping[str, bytes]], archive: Path) -> None:
    """Pack runs, by their names."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for name, files in sorted(runs.items()):
            for file, content in files.items():
                member = tarfile.TarInfo(f"{name}/{file}")
                member.size = len(content)
                packed.addfile(member, io.BytesIO(content))


def unpack(archive: Path, folder: Path) -> int:
    """Lay the runs of an archive out in a folder; how many there are."""
    runs = kept(archive)
    for name, files in runs.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / name / file).write_bytes(content)
    return len(runs)


def main() -> None:
    """Parse, and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path, default=ARCHIVE)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("keep").add_argument("folders", type=Path, nargs="+")
    verbs.add_parser("unpack").add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.verb == "unpack":
        print(f"{unpack(options.archive, options.folder)} runs lie in {options.folder}")
        return
    before = kept(options.archive)
    runs = before | finished(options.folders)
    write(runs, options.archive)
    print(f"{len(runs)} runs in {options.archive}, {len(runs) - len(before)} of them new")


if __name__ == "__main__":
    main()
