# e2e/test_script_test.py - `weir script test`: finds tests, runs them, tells what failed and which lines ran.
import json
import os
import pty
import subprocess

import pytest

from harness import WEIR

pytestmark = pytest.mark.once  # of one thread each: the threads of hooks are in the other files

HOOK = """local M = {}

function M.on_request(req)
  if req:header("x-beta") == "1" then
    return "canary"
  elseif req.path == "/loop" then
    while true do end
  end
  if req.path == "/off" then
    return { status = 503, body = "off" }
  end
end

return M
"""

TESTS = """t.upstreams { "stable", "canary" }
local hook = t.hook()

t.test("testers get the canary", function()
  t.equal(hook.on_request(t.request { headers = { ["x-beta"] = "1" } }), { upstream = "canary" })
end)

t.test("others are split", function()
  t.equal(hook.on_request(t.request {}), nil)
end)
"""

FAILING = TESTS + """
t.test("off", function()
  t.equal(hook.on_request(t.request { path = "/off" }).status, 502)
end)

t.test("endless", function()
  hook.on_request(t.request { path = "/loop" })
end)

t.test("endless itself", function()
  while true do pcall(function() while true do end end) end
end)
"""


@pytest.fixture(name="folder")
def fixture_folder(tmp_path):
    """A folder with a hook and tests of it that pass."""
    (tmp_path / "beta.lua").write_text(HOOK)
    (tmp_path / "beta_test.lua").write_text(TESTS)
    return tmp_path


def script_test(folder, *words):
    """With a budget that hooks which end keep on any machine."""
    return subprocess.run(
        [WEIR, "script", "test", "--budget", "300ms", *words], capture_output=True, text=True, timeout=60, cwd=folder, check=False)


def test_what_passes_and_which_lines_ran(folder):
    done = script_test(folder, "beta_test.lua")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == """beta_test.lua
  ok     testers get the canary
  ok     others are split

lines that ran
  beta.lua   8/10 lines   80 %  missing 7, 10

2 passed, 0 failed
"""


def test_what_fails_tells_where_and_why_and_the_rest_runs_all_the_same(folder):
    (folder / "beta_test.lua").write_text(FAILING)
    done = script_test(folder, "beta_test.lua", "--timeout", "1s")
    assert done.returncode == 1
    wanted = [
        "  ok     testers get the canary",
        "  FAILED off",
        "    beta_test.lua:13: not equal",
        "      expected  502",
        "      actual    503",
        "  FAILED endless",
        "    beta_test.lua:17: on_request: over its budget of 300ms: beta.lua:7: the call used up its time",
        "  FAILED endless itself",
        "    beta_test.lua:21: the call used up its time",
        "  beta.lua  10/10 lines  100 %",
        "2 passed, 3 failed",
    ]
    lines = done.stdout.splitlines()
    assert [line for line in wanted if line not in lines] == [], done.stdout


def test_json(folder):
    (folder / "beta_test.lua").write_text(FAILING)
    done = script_test(folder, "beta_test.lua", "--json", "--timeout", "1s")
    report = json.loads(done.stdout)
    assert (done.returncode, report["good"], report["passed"], report["failed"]) == (1, False, 2, 3)
    assert report["coverage"] == [{"file": "beta.lua", "lines": 10, "run": 10, "percent": 100.0, "missing": []}]
    file, = report["files"]
    assert file["file"] == "beta_test.lua"
    assert file["tests"][0] == {"name": "testers get the canary", "line": 4, "result": "passed"}
    assert file["tests"][2]["failure"]["line"] == 13
    assert file["tests"][2]["failure"]["message"].startswith("not equal\nexpected  502\n")


def test_a_filter(folder):
    done = script_test(folder, ".", "--filter", "split")
    assert done.returncode == 0 and "1 passed, 0 failed" in done.stdout
    done = script_test(folder, ".", "--filter", "nobody")
    assert done.returncode == 1 and "no test has that in its name" in done.stderr


@pytest.mark.parametrize("share, status", [("80%", 0), ("80.01%", 1), ("92.5%", 1)])
def test_a_least_coverage(folder, share, status):
    done = script_test(folder, "beta.lua", "--min-coverage", share)
    assert done.returncode == status
    assert ("1 file with less than" in done.stdout) == (status == 1)


def test_a_folder_is_walked_and_a_hook_stands_for_its_tests(folder):
    below = folder / "below" / "more"
    below.mkdir(parents=True)
    (below / "a.lua").write_text(HOOK)
    (below / "a_test.lua").write_text(TESTS)
    (folder / ".hidden_test.lua").write_text("nowhere()")
    report = json.loads(script_test(folder, ".", "--json").stdout)
    assert [file["file"] for file in report["files"]] == ["./below/more/a_test.lua", "./beta_test.lua"]
    assert [file["file"] for file in report["coverage"]] == ["./below/more/a.lua", "./beta.lua"]
    report = json.loads(script_test("/", str(folder / "beta.lua"), "--json").stdout)
    assert [file["file"] for file in report["files"]] == [str(folder / "beta_test.lua")]


def test_a_hook_of_a_folder_that_no_test_runs_has_no_line_that_ran(folder):
    (folder / "alone.lua").write_text("local M = {}\n\nfunction M.on_request(req)\nend\n\nreturn M\n")
    done = script_test(folder, ".", "--min-coverage", "50%")
    assert done.returncode == 1
    assert "  ./alone.lua   0/4 lines    0 %  missing 1-6" in done.stdout.splitlines(), done.stdout
    (folder / "alone.lua").write_text("local = 1\n")
    done = script_test(folder, ".")
    assert done.returncode == 1 and "    ./alone.lua:1: <name> expected near '='" in done.stdout.splitlines()


def test_without_a_test_nothing_has_passed(folder):
    (folder / "beta_test.lua").unlink()
    done = script_test(folder, ".")
    assert done.returncode == 1 and "there is no test" in done.stderr
    done = script_test(folder, "beta.lua")
    assert done.returncode == 1 and "beta_test.lua: No such file" in done.stderr


def test_a_file_that_does_not_load_fails(folder):
    (folder / "beta_test.lua").write_text("t.test('x', function() end)\nlocal x = = 1\n")
    done = script_test(folder, ".")
    assert done.returncode == 1
    assert "    ./beta_test.lua:2: unexpected symbol near '='" in done.stdout.splitlines()


@pytest.mark.parametrize("words", [(), (".", "--min-coverage", "80"), (".", "--min-coverage", "101%"), (".", "--budget", "2s"),
                                   (".", "--nothing")])
def test_wrong_usage(folder, words):
    assert script_test(folder, *words).returncode == 2


def test_a_terminal_gets_colours_and_a_pipe_none(folder):
    assert "\033" not in script_test(folder, ".").stdout
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    subprocess.run([WEIR, "script", "test", ".", "--budget", "300ms"], stdout=follower, cwd=folder, timeout=60, check=True, env=environment)
    os.close(follower)
    said = b""
    try:
        while piece := os.read(leader, 65536):
            said += piece
    except OSError:  # the other side is closed: all was read
        pass
    os.close(leader)
    assert b"\033[32mok     \033[0m" in said
