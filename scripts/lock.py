"""Compile requirements/*.txt (`make lock`), or check them offline (`--check`).

Pins that still fit are kept; other arguments go to uv, as in ARGS="--upgrade-package httpx".

build, runtime, dev and apps share one venv, so they are resolved together and then written
one by one. The other two belong to venvs of their own. Each file's header carries a digest
of its inputs, by which the check knows, without a network, that somebody forgot to lock.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
SHARED = ("build", "runtime", "dev", "apps")
EXTRA = {
    # The day after that release: openai and anthropic as its users had them.
    "apps-oldest": ("--exclude-newer", "2026-08-10"),
    "apps-newest": ("--override", "requirements/apps-newest.override.in"),
}
MALICIOUS = {"litellm==1.82.7", "litellm==1.82.8"}
PIN = re.compile(r"^([a-z0-9-]+==\S+)")


def source(name: str) -> str:
    """Name the file that asks for what this lock pins."""
    return "pyproject.toml" if name == "runtime" else f"requirements/{name}.in"


def text_of(path: str) -> str:
    """Read an input; of pyproject.toml only what the resolver sees."""
    text = (ROOT / path).read_text()
    if path != "pyproject.toml":
        return text
    project = tomllib.loads(text)["project"]
    return f"{project['requires-python']} {project['dependencies']}"


def digest(name: str) -> str:
    """Digest everything that decides the content of a lock file."""
    inputs = [source(other) for other in SHARED] if name in SHARED else [source(name)]
    inputs += [option for option in EXTRA.get(name, ()) if option.endswith(".in")]
    content = [text_of(path) for path in inputs] + list(EXTRA.get(name, ()))
    return hashlib.sha256("\0".join(content).encode()).hexdigest()[:16]


def pins(name: str) -> list[str]:
    """List the pins of a lock file."""
    path = REQUIREMENTS / f"{name}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [match[1] for line in lines if (match := PIN.match(line))]


def together() -> set[str]:
    """Collect the pins of the files that share a venv."""
    return {pin for name in SHARED for pin in pins(name)}


def compile_to(output: Path, *args: str) -> None:
    """Resolve for Linux and macOS at once, keeping the pins that the output already has."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--python-version=3.11"]
    command += ["--quiet", "--no-annotate", "--no-emit-index-url", "--output-file", str(output)]
    subprocess.run([*command, *args, *sys.argv[1:]], cwd=ROOT, check=True)


def lock() -> None:
    """Write every lock file."""
    with tempfile.TemporaryDirectory() as folder:
        joint = Path(folder) / "joint.txt"
        joint.write_text("\n".join(sorted(together())))
        compile_to(joint, *[source(name) for name in SHARED])
        for name in (*SHARED, *EXTRA):
            args = [source(name), *EXTRA.get(name, ("--constraint", str(joint)))]
            args += ["--custom-compile-command", f"make lock  (inputs {digest(name)})"]
            compile_to(REQUIREMENTS / f"{name}.txt", "--generate-hashes", *args)
            print(f"{name}.txt: {len(pins(name))} pins")


def problems(name: str) -> list[str]:
    """Say what is wrong with one lock file."""
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text)[1:]
    found = [f"no hash for {block.split()[0]}" for block in blocks if "--hash=sha256:" not in block]
    found += [f"{pin} is malicious" for pin in MALICIOUS.intersection(pins(name))]
    if digest(name) not in text:
        found.append("older than its inputs: run `make lock`")
    if "://" in text or re.search(r"^-", text, re.MULTILINE):
        found.append("carries an address or an option")
    if not blocks or len(blocks) != len(pins(name)):
        found.append("has a line that is not a pin")
    return [f"requirements/{name}.txt: {problem}" for problem in found]


def check() -> None:
    """Check every lock file; exit with what is wrong."""
    found = [problem for name in (*SHARED, *EXTRA) for problem in problems(name)]
    names = Counter(pin.partition("==")[0] for pin in together())
    found += [f"two versions of {name} for one venv" for name, n in names.items() if n > 1]
    if found:
        sys.exit("\n".join(found))
    print(f"{len(SHARED) + len(EXTRA)} lock files are in order")


if __name__ == "__main__":
    check() if sys.argv[1:] == ["--check"] else lock()
