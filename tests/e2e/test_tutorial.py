# e2e/test_tutorial.py - the README's tutorial: every command runs as written, and says what the page shows.
import os
import re
import subprocess

import pytest

from harness.proxy import ROOT, WEIR, free_port

HEADINGS = {  # and how many steps there are
    "## Five minutes with it\n": 7,
    "## Release with a safety net\n": 6,
    "## Dark-launch a rewrite\n": 4,
    "## Cookbook of hooks\n": 3,
}
MARK = "=== end of step ==="


def steps(heading):
    """(commands, what they print or None) in the page's order."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as page:
        text = page.read()
    section = text[text.index(heading) + len(heading) :]
    section = section[: re.search(r"^## ", section, re.MULTILINE).start()]
    return re.findall(r"^```sh\n(.*?)^```\n(?:```\n(.*?)^```\n)?", section, re.MULTILINE | re.DOTALL)


def normal(text):
    """Without what differs from run to run: times, digests, who runs it, and widths that follow from them."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "DIGEST", text)
    text = re.sub(r"\bunix:\w+", "unix:USER", text)
    return [re.sub(r" +", " ", line).strip() for line in text.splitlines()]


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_page_is_true(tmp_path, heading):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "weir").symlink_to(os.path.abspath(WEIR))
    (tmp_path / "scripts").symlink_to(os.path.join(ROOT, "scripts"))
    ports = {port: str(free_port()) for port in ("8080", "9001", "9002", "9901")}
    script = "".join(f"{commands}echo '{MARK}'\n" for commands, _ in steps(heading))
    script = script.replace("$PWD/build", f"{tmp_path}/bin").replace("/tmp/try-", f"{tmp_path}/try-")
    script = script.replace("sleep 1\n", "sleep 3\n")  # sanitizers and busy machines are slower than a person
    script = script.replace("script test .", "script test . --budget 500ms")
    for port, free in ports.items():
        script = script.replace(port, free)
    # `kill %N` at its end is the tutorial's own; the trap is for a run that does not get there.
    done = subprocess.run(
        ["bash", "-e", "-c", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + script],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, cwd=tmp_path,
    )
    said = done.stdout
    for port, free in ports.items():
        said = said.replace(free, port)
    assert done.returncode == 0, said
    outputs = said.split(MARK + "\n")
    wanted = [output for _, output in steps(heading)]
    assert len(outputs) == len(wanted) + 1 and len(wanted) == HEADINGS[heading]
    for have, want in zip(outputs, wanted):
        assert normal(have) == normal(want)
