"""Generates and checks everything made from the .proto files.

usage: python proto/tools.py COMMAND

  generate  write the stubs in proto/gen
  format    format the .proto files
  check     lint, format, compatibility with the last release, and that proto/gen is what generate would write
  release   keep the present definition as proto/released.binpb, which `check` compares with; on every release

Needs the development dependencies of pyproject.toml in the interpreter's environment; no network.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ROOT / "proto" / "gen"
RELEASED = ROOT / "proto" / "released.binpb"
DEPENDENCIES = ROOT / "proto" / ".deps"

# Published files that ours import, beside google/protobuf/*, which buf brings along.
BORROWED = ["google/rpc/status.proto", "google/type/decimal.proto", "google/type/money.proto"]

# Newer generators write stubs that need protobuf 7, which agent frameworks do not allow yet.
GENERATOR_SERIES = "1.80."

# Not made by the generators, but part of the package that holds their output.
PACKAGE_FILES = {
    "imprest/__init__.py": '"""The stubs of the Imprest API, generated from proto/imprest."""\n',
    "imprest/py.typed": "",
    "imprest/v1/__init__.py": '"""Version 1 of the Imprest API."""\n',
}


class ProtoError(Exception):
    """A command could not be carried out, or a check found something; the text says what."""


def main(arguments: list[str]) -> int:
    """Runs the one command named in `arguments`; returns the exit status."""
    commands: dict[str, Callable[[], None]] = {
        "generate": generate,
        "format": format_protos,
        "check": check,
        "release": release,
    }
    if len(arguments) != 1 or arguments[0] not in commands:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        borrow_dependencies()
        commands[arguments[0]]()
    except ProtoError as failure:
        print(f"proto: {failure}", file=sys.stderr)
        return 1
    return 0


def generate() -> None:
    """Brings proto/gen in step with the .proto files; untouched files keep their times."""
    expected, actual = expected_stubs(), actual_stubs()
    for name in sorted(actual.keys() - expected.keys()):
        (GENERATED / name).unlink()
        print(f"removed proto/gen/{name}")
    for name in sorted(name for name in expected if actual.get(name) != expected[name]):
        path = GENERATED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(expected[name])
        print(f"wrote proto/gen/{name}")


def format_protos() -> None:
    """Formats the .proto files in place."""
    buf("format", "--write", "--path", "proto/imprest", failure="buf format failed")


def check() -> None:
    """Runs every check, also after one has failed; raises ProtoError when any has."""
    failures = []
    for verify in (check_lint, check_format, check_compatibility, check_stubs):
        try:
            verify()
        except ProtoError as failure:
            failures.append(str(failure))
    if failures:
        raise ProtoError("\nproto: ".join(failures))
    print("proto: lint, format, compatibility and stubs are fine")


def check_lint() -> None:
    """Raises ProtoError when the .proto files break a rule of buf.yaml."""
    buf("lint", "--path", "proto/imprest", failure="buf lint found the above")


def check_format() -> None:
    """Raises ProtoError, after printing the difference, when a .proto file is not formatted."""
    buf(
        *("format", "--diff", "--exit-code", "--path", "proto/imprest"),
        failure="not formatted as above; run `make format`",
    )


def check_compatibility() -> None:
    """Raises ProtoError when a client of the last release could not use this definition."""
    if not RELEASED.exists():
        raise ProtoError("proto/released.binpb is missing; run `python proto/tools.py release`")
    with tempfile.TemporaryDirectory() as scratch:
        present = Path(scratch, "present.binpb")
        build_image(present)
        buf(
            *("breaking", str(present), "--against", str(RELEASED), "--exclude-imports"),
            failure="the above would break clients of the last release",
        )


def check_stubs() -> None:
    """Raises ProtoError when proto/gen is not what `generate` would write."""
    expected, actual = expected_stubs(), actual_stubs()
    stale = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
    if stale:
        raise ProtoError(f"stubs are not current; run `make proto`: {', '.join(stale)}")


def release() -> None:
    """Makes the present definition the one that later ones are compared with."""
    build_image(RELEASED)
    print("wrote proto/released.binpb")


def borrow_dependencies() -> None:
    """Copies the published files that ours import into proto/.deps, where buf finds them."""
    specification = importlib.util.find_spec("google.type")
    if specification is None or not specification.submodule_search_locations:
        raise ProtoError("googleapis-common-protos is not installed; run `make setup`")
    source = Path(next(iter(specification.submodule_search_locations))).parent.parent
    for name in BORROWED:
        target = DEPENDENCIES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)


def expected_stubs() -> dict[str, bytes]:
    """Returns what proto/gen should hold: contents by path relative to it."""
    version = importlib.metadata.version("grpcio-tools")
    if not version.startswith(GENERATOR_SERIES):
        raise ProtoError(f"stubs are made with grpcio-tools {GENERATOR_SERIES}*, but {version} is installed")
    with tempfile.TemporaryDirectory() as scratch:
        buf("generate", "--output", scratch, failure="buf generate failed")
        stubs = read_tree(Path(scratch, "proto", "gen"))
    return stubs | {name: text.encode() for name, text in PACKAGE_FILES.items()}


def actual_stubs() -> dict[str, bytes]:
    """Returns what proto/gen holds now: contents by path relative to it."""
    return read_tree(GENERATED)


def read_tree(folder: Path) -> dict[str, bytes]:
    """Returns the contents of all files below `folder` by relative path, but for Python's caches."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def build_image(target: Path) -> None:
    """Compiles the .proto files into one descriptor file, without comments."""
    buf(
        *("build", "--path", "proto/imprest", "--exclude-source-info", "--output", str(target)),
        failure="buf build failed",
    )


def buf(*arguments: str, failure: str) -> None:
    """Runs buf in the repository, our own interpreter first on PATH; raises ProtoError when it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    program = shutil.which("buf", path=path)
    if program is None:
        raise ProtoError("buf is not installed; run `make setup`")
    environment = {**os.environ, "PATH": path}
    if subprocess.run([program, *arguments], cwd=ROOT, env=environment, check=False).returncode != 0:
        raise ProtoError(failure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
