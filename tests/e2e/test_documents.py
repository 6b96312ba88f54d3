# e2e/test_documents.py - the man page and the bash completion know what the binary's own --help knows.
import functools
import os
import re
import subprocess

import pytest

pytestmark = pytest.mark.once

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "weir"))


@functools.cache
def help_section(path, title):
    """The first words of the lines under "commands:" or "options:" in the help of a command."""
    done = subprocess.run([WEIR, *path, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    section = re.search(rf"^{title}:\n((?:  .*\n)+)", done.stdout, re.MULTILINE)
    return section.group(1) if section else ""


def commands_below(path=()):
    """Every command as a tuple of words, groups included, deepest last."""
    for name in re.findall(r"^  (\w+)", help_section(path, "commands"), re.MULTILINE):
        yield (*path, name)
        yield from commands_below((*path, name))


def options_of(path):
    return set(re.findall(r"^ +.*?(--[a-z0-9-]+)", help_section(path, "options"), re.MULTILINE))


def completions(words, current=""):
    script = (
        '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weir; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    file = os.path.join(ROOT, "completions", "weir.bash")
    done = subprocess.run(
        ["bash", "-c", script, "bash", file, "weir", *words, current],
        capture_output=True, text=True, timeout=30, check=True,
    )
    return set(done.stdout.split())


def man_page():
    with open(os.path.join(ROOT, "docs", "weir.8"), encoding="utf-8") as page:
        return page.read().replace("\\-", "-")


def test_the_help_lists_commands():
    assert ("version",) in set(commands_below())


def test_every_command_is_completed():
    missing = [path for path in commands_below() if path[-1] not in completions(path[:-1], path[-1])]
    assert missing == []


def test_every_option_is_completed():
    missing = [
        (*path, option)
        for path in commands_below()
        for option in options_of(path)
        if option not in completions(path, option)
    ]
    assert missing == []


def test_every_command_and_option_is_in_the_man_page():
    page = man_page()
    missing = [path for path in commands_below() if not re.search(rf"\b{path[-1]}\b", page)]
    missing += [
        (*path, option) for path in commands_below() for option in options_of(path) if option not in page
    ]
    assert missing == []


def test_the_completion_offers_no_command_that_a_group_lacks():
    known = set(commands_below())
    for group in {path[:-1] for path in known if len(path) > 1}:
        offered = {(*group, word) for word in completions(group) if not word.startswith("-")}
        assert offered - known == set()


def test_the_completion_offers_no_option_that_a_command_lacks():
    groups = {path[:-1] for path in commands_below()}
    for path in set(commands_below()) - groups:
        offered = {word for word in completions(path, "--") if word.startswith("--")}
        assert offered - options_of(path) == set(), path


def test_a_command_of_ctl_begins_a_paragraph_of_the_man_page():
    page = man_page()
    topics = [path[1] for path in commands_below() if len(path) == 2 and path[0] == "ctl"]
    assert "drill" in topics
    assert [name for name in topics if not re.search(rf"^\.TP\n\.B[IR]? \"?{name}\b", page, re.MULTILINE)] == []


def test_values_that_are_words_are_completed():
    assert "succeeded" in completions(("ctl", "rollout", "shop", "wait", "--for"))
    assert completions(("demo", "--for")) == set()
    assert completions(("ctl", "drill", "shop", "--fault"), "l") == {"latency"}
