# e2e/test_schema.py - what the schema says and what the program says of a file agree.
import glob
import json
import os
import subprocess

import jsonschema
import pytest
import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "weir"))
EXAMPLES = sorted(glob.glob(os.path.join(ROOT, "conf", "*.yaml")))
GOLDEN = os.path.join(ROOT, "tests", "golden", "config")

# Broken in a way that needs no knowledge across keys: an editor with the schema must see it too.
STRUCTURAL = """
    choices_nearly choices_of_later condition_wholes headers keys methods missing_keys names no_value
    out_of_range redirects unknown_keys weights wrong_kinds wrong_values segment_bodies root_is_a_list
""".split()

# Fine by shape: only the program knows that these are wrong, or only warns.
NOT_STRUCTURAL = """
    binds_twice dangling_names duplicate_names route_actions segment_cycles
    warned_unused warned_expired warned_shadowed include_missing
""".split()


class PlainLoader(yaml.SafeLoader):
    """Dates stay texts, as for the program and for editors."""


PlainLoader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.fixture(scope="module")
def validator():
    printed = subprocess.run([WEIR, "schema"], capture_output=True, text=True, timeout=30, check=True).stdout
    schema = json.loads(printed)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def faults(validator, path):
    with open(path, encoding="utf-8") as file:
        return [error.message for error in validator.iter_errors(yaml.load(file, Loader=PlainLoader))]


def check(path):
    return subprocess.run([WEIR, "check", "-c", path], capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("path", EXAMPLES, ids=os.path.basename)
def test_every_example_passes_check_and_schema(validator, path, examples):
    done = check(os.path.join(examples, os.path.basename(path)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr
    assert faults(validator, path) == []


@pytest.mark.parametrize("name", STRUCTURAL)
def test_the_schema_refuses_what_is_wrong_by_shape(validator, name):
    path = os.path.join(GOLDEN, name + ".yaml")
    assert check(path).returncode == 1
    assert faults(validator, path) != []


@pytest.mark.parametrize("name", NOT_STRUCTURAL)
def test_the_schema_leaves_the_rest_to_check(validator, name):
    assert faults(validator, os.path.join(GOLDEN, name + ".yaml")) == []


def test_values_from_the_environment_pass_the_schema(validator):
    config = {
        "workers": "${N}",
        "listeners": {"web": {"bind": "${HOST}:80"}},
        "drain_timeout": "${T}s",
        "watch": "${WATCH}",
        "routes": [{"name": "r", "split": {"a": "${A}", "b": 1}}],
    }
    assert [error.message for error in validator.iter_errors(config)] == []


def test_check_prints_what_the_golden_files_list():
    path = os.path.join(GOLDEN, "all_in_one_run.yaml")
    with open(path[: -len("yaml")] + "expected", encoding="utf-8") as file:
        expected = file.read()
    done = subprocess.run(
        [WEIR, "check", "-c", os.path.basename(path)], cwd=GOLDEN, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert done.stdout + done.stderr == expected


def test_the_documents_are_printed_as_committed():
    for command, path in (("schema", "schema.json"), ("reference", "reference.md")):
        with open(os.path.join(ROOT, "docs", path), encoding="utf-8") as file:
            committed = file.read()
        printed = subprocess.run([WEIR, command], capture_output=True, text=True, timeout=30, check=True).stdout
        assert printed == committed
