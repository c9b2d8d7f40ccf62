"""Settings come from a file, the environment and options; what is wrong is named with its place and a hint."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import gridq.config
from gridq.config import Settings, check, load
from gridq.errors import ConfigError
from gridq.knobs import KNOBS, written
from gridq.private import private_dir
from gridq.units import parse_seconds

PACKAGED = Path(gridq.config.__file__).with_name("gridq.yaml")
DOCUMENTED = Path(gridq.config.__file__).parents[1] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "gridq.yaml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_set_gives_the_defaults_and_says_so() -> None:
    settings = load(environ={})
    assert settings == Settings(runtime_dir=settings.runtime_dir)
    assert {row.source for row in settings.describe()} == {"default"}


def test_options_override_the_environment_which_overrides_the_file() -> None:
    write("lease: 20s\nheartbeat: 3s\nprobe_interval: 500ms\n")
    settings = load(environ={"GRIDQ_LEASE": "30s", "GRIDQ_HEARTBEAT": "4s"}, lease=40)
    assert (settings.lease, settings.heartbeat, settings.probe_interval) == (40.0, 4.0, 0.5)
    assert settings.sources == {"lease": "option", "heartbeat": "GRIDQ_HEARTBEAT", "probe_interval": "gridq.yaml:3"}


def test_what_was_not_set_overrides_nothing() -> None:
    write("lease: 20s\nnode:\n")
    settings = load(environ={"GRIDQ_LEASE": "", "GRIDQ_NODE": " "}, lease=None, node=None)
    assert settings.lease == 20.0
    assert settings.sources == {"lease": "gridq.yaml:1"}


def test_an_explicit_file_goes_before_the_named_one_and_that_before_the_one_in_the_directory() -> None:
    write("node: here\n")
    named, explicit = write("node: named\n", "named.yaml"), write("node: explicit\n", "explicit.yaml")
    environ = {"GRIDQ_CONFIG": str(named)}
    assert load(environ={}).node == "here"
    assert load(environ=environ).node == "named"
    assert load(explicit, environ=environ).node == "explicit"


def test_values_are_read_as_people_write_them() -> None:
    write("tasks: [shop.tasks, shop.reports]\nlease: 1m\nprobe_interval: 0.5\ncpu_weight: 2\n")
    settings = load(environ={"GRIDQ_RECORDS_TTL": "2h", "GRIDQ_RUNTIME_DIR": "~/run"})
    assert settings.tasks == ("shop.tasks", "shop.reports")
    assert (settings.lease, settings.probe_interval, settings.records_ttl) == (60.0, 0.5, 7200.0)
    assert settings.cpu_weight == 2.0
    assert settings.runtime_dir == Path.home() / "run"


def test_modules_in_the_environment_are_joined_by_commas() -> None:
    assert load(environ={"GRIDQ_TASKS": "shop.tasks, shop.reports"}).tasks == ("shop.tasks", "shop.reports")


def test_the_runtime_directory_is_that_of_the_login_while_it_exists(tmp_path: Path) -> None:
    assert load(environ={"XDG_RUNTIME_DIR": str(tmp_path)}).runtime_dir == tmp_path / "gridq"
    assert load(environ={"XDG_RUNTIME_DIR": str(tmp_path / "gone")}).runtime_dir.name.startswith("gridq-")


def test_variables_that_kubernetes_makes_for_a_service_are_passed_over() -> None:
    names = ["GRIDQ_SERVICE_HOST", "GRIDQ_PORT", "GRIDQ_PORT_6379_TCP_ADDR", "GRIDQ_REDIS_SERVICE_PORT_REDIS"]
    assert check(environ=dict.fromkeys(names, "10.0.0.1")) == []


def refusal(text: str = "", environ: dict[str, str] | None = None, **options: object) -> ConfigError:
    write(text)
    with pytest.raises(ConfigError) as caught:
        load(environ=environ or {}, **options)
    return caught.value


def test_a_misspelt_key_is_refused_with_its_line_and_the_right_spelling() -> None:
    error = refusal("# ours\nlease: 20s\nheartbaet: 2s\n")
    assert error.message == "gridq.yaml:3: expected a setting, got 'heartbaet'"
    assert error.hint == "did you mean 'heartbeat'?"


@pytest.mark.parametrize("key", ["broker-url", "BROKER_URL", "brokerurl"])
def test_a_key_in_another_style_is_recognised(key: str) -> None:
    assert refusal(f"{key}: redis://localhost\n").hint == "did you mean 'broker_url'?"


def test_a_misspelt_variable_is_refused_with_the_right_spelling() -> None:
    error = refusal(environ={"GRIDQ_BROKER": "redis://localhost"})
    assert "GRIDQ_BROKER" in error.message
    assert error.hint == "did you mean 'GRIDQ_BROKER_URL'?"


def test_a_key_like_no_other_gets_the_list_of_settings() -> None:
    assert "broker_url" in (refusal("zzz: 1\n").hint or "")


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("lease: soon", "gridq.yaml:1: lease", "a time"),
        ("\nlease: 25h", "gridq.yaml:2: lease", "from 1s to 24h"),
        ("snapshot_age: 2s", "snapshot_age", "from 0s to 0.5s"),
        ("lease: true", "lease", "a time"),
        ("cpu_weight: -1", "cpu_weight", "a number from 0 to 100"),
        ("gpu_weight: .nan", "gpu_weight", "a number from 0 to 100"),
        ("node: gpu0@node1", "node", "without spaces or '@'"),
        ("node: 7", "node", "a host's name"),
        ("node: 2026-99-99", "node", "expected a value"),
        ("tasks: [shop/tasks.py]", "tasks", "names of modules"),
        ("tasks: 3", "tasks", "names of modules"),
        ("gpus: ''", "gpus", "a word"),
        ("strategy: random", "strategy", "least-loaded"),
        ("impossible_needs: drop", "impossible_needs", "wait or refuse"),
        ("runtime_dir: 3", "runtime_dir", "the path"),
        ("runtime_dir: ~nobody-of-this-name/x", "runtime_dir", "the path"),
        ("broker_url: localhost:6379", "broker_url", "redis://"),
        ("broker_url: amqp://localhost", "broker_url", "redis://"),
        ("broker_url: redis://localhost/one", "broker_url", "redis://"),
        ("broker_url: redis://a/0;redis://b/0", "broker_url", "one Redis"),
        ("lease: {seconds: 3}", "lease", "a time"),
        ("lease: 20s\nlease: 30s", "gridq.yaml:2", "lease once"),
        ("lease: [", "gridq.yaml:1", "expected YAML"),
        ("lease: !!python/name:os.system x", "gridq.yaml:1", "expected YAML"),
        ("- lease", "gridq.yaml:1", "got a list"),
        ("lease", "gridq.yaml:1", "got a single value"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place_and_what_was_expected(text: str, where: str, expected: str) -> None:
    message = refusal(text).message
    assert where in message
    assert expected in message


def test_a_wrong_value_in_the_environment_or_an_option_is_refused_by_that_name() -> None:
    assert refusal(environ={"GRIDQ_LEASE": "soon"}).message.startswith("GRIDQ_LEASE: expected a time")
    assert refusal(lease="soon").message.startswith("option: lease: expected a time")
    assert refusal(leese="20s").hint == "did you mean 'lease'?"


def test_a_file_that_was_asked_for_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load(Path("nowhere.yaml"), environ={})
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load(environ={"GRIDQ_CONFIG": "nowhere.yaml"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("heartbeat: 5s", "heartbeat to be less than half of lease, got heartbeat 5s and lease 10s"),
        ("lease: 4s", "heartbeat to be less than half of lease"),
        ("probe_interval: 3s", "probe_interval to be less than probe_deadline"),
        ("cpu_weight: 0\ngpu_weight: 0", "cpu_weight or gpu_weight to be more than 0"),
        ("broker_url: sentinel://one:26379;sentinel://two:26379", "sentinel_master to be set"),
    ],
)
def test_settings_that_cannot_hold_together_are_refused(text: str, expected: str) -> None:
    error = refusal(text)
    assert expected in error.message
    assert "gridq.yaml:1" in error.message
    assert error.hint


def test_check_lists_every_problem_and_does_not_build_on_refused_values() -> None:
    write("leese: 1s\nheartbeat: never\nlease: 3s\nprobe_interval: 10s\n")
    found = [problem.message for problem in check(environ={"GRIDQ_NODES": "x"})]
    assert [message.split(": expected")[0] for message in found] == [
        "gridq.yaml:1",
        "gridq.yaml:2: heartbeat",
        "environment",
        "gridq.yaml:4, default",
    ]


def test_a_wrong_value_is_told_together_with_what_it_may_be() -> None:
    with pytest.raises(ConfigError, match=r"GRIDQ_LEASE: .*'soon'\nhint: it may be 1s to 24h.*; the default is 10s"):
        load(environ={"GRIDQ_LEASE": "soon"})


def test_load_tells_of_all_problems_in_one_error() -> None:
    message = str(refusal("leese: 1s\nnode: a b\n"))
    assert "did you mean 'lease'?" in message
    assert "node: expected" in message


def test_every_setting_has_a_knob_with_a_range_a_default_and_a_reason() -> None:
    assert [field.name for field in fields(Settings) if field.name != "sources"] == list(KNOBS)
    for name, knob in KNOBS.items():
        assert knob.range and knob.default and knob.reason.endswith("."), name


def test_defaults_are_told_as_they_are_and_lie_in_their_range() -> None:
    for name, knob in KNOBS.items():
        value = getattr(Settings(), name)
        if isinstance(value, float):
            told = parse_seconds(knob.default) if knob.unit == "seconds" else float(knob.default)
            assert knob.parse(knob.default) == told == value, name


@given(st.floats(0.05, 30 * 86400))
def test_times_that_are_shown_can_be_set_again(seconds: float) -> None:
    assert parse_seconds(written(seconds)) == pytest.approx(seconds, abs=0.0006)


def test_describe_tells_of_every_setting_where_its_value_came_from() -> None:
    write("lease: 30s\n")
    rows = {row.name: row for row in load(environ={"GRIDQ_TASKS": "a,b"}, broker_url="redis://h/0").describe()}
    assert list(rows) == list(KNOBS)
    assert (rows["lease"].value, rows["lease"].source, rows["lease"].unit) == ("30s", "gridq.yaml:1", "seconds")
    assert (rows["tasks"].value, rows["tasks"].source) == ("a, b", "GRIDQ_TASKS")
    assert (rows["result_backend"].value, rows["result_backend"].source) == ("redis://h/1", "default")


def test_the_packaged_example_sets_nothing_until_it_is_uncommented() -> None:
    text = PACKAGED.read_text("utf-8")
    assert yaml.safe_load(text) is None
    uncommented = re.sub(r"^#(?=\w+:)", "", text, flags=re.MULTILINE)
    assert list(yaml.safe_load(uncommented)) == list(KNOBS)
    password = write("sesame", "password")
    password.chmod(0o600)
    settings = load(write(uncommented.replace("/etc/gridq/broker-password", str(password)), "all.yaml"), environ={})
    for field in fields(Settings):
        if isinstance(field.default, float):
            assert getattr(settings, field.name) == field.default, field.name


def test_the_packaged_example_tells_unit_range_default_and_reason_of_every_setting() -> None:
    blocks = PACKAGED.read_text("utf-8").strip().split("\n\n")[1:]
    for block, (name, knob) in zip(blocks, KNOBS.items(), strict=True):
        words = " ".join(line.removeprefix("# ") for line in block.splitlines()[:-1])
        unit = [f"unit: {knob.unit}"] if knob.unit else []
        assert words == " ".join([knob.reason, *unit, f"range: {knob.range}", f"default: {knob.default}"]), name
        assert block.splitlines()[-1].startswith(f"#{name}: ")


def test_the_table_in_the_documentation_says_what_the_code_says() -> None:
    rows = [line for line in DOCUMENTED.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{name}` | {knob.range} | {knob.default} | {knob.unit} | {knob.reason} |" for name, knob in KNOBS.items()
    ]


def test_the_password_of_the_broker_comes_from_a_file_that_is_checked_at_once() -> None:
    file = write("sesame\n", "password")
    file.chmod(0o600)
    settings = load(environ={"GRIDQ_BROKER_PASSWORD_FILE": "password"})
    assert settings.broker_password() == "sesame"
    assert settings.broker_password_file == file.absolute()
    assert "sesame" not in f"{settings!r}{settings.describe()}"
    file.chmod(0o644)
    error = refusal("broker_password_file: password\n")
    assert error.message.startswith("gridq.yaml:1: expected ") and "mode 0644" in error.message
    assert (error.hint or "").startswith("chmod 600")
    missing = refusal(environ={"GRIDQ_BROKER_PASSWORD_FILE": "nowhere"}).message
    assert missing.startswith("GRIDQ_BROKER_PASSWORD_FILE: ") and "nowhere: expected a readable file" in missing


def test_a_private_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = private_dir(tmp_path / "a" / "b")
    assert path.stat().st_mode & 0o777 == 0o700
    assert private_dir(path) == path


def test_a_directory_that_others_can_write_to_or_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for name in ("open", "link"):
        with pytest.raises(ConfigError, match="directory of yours"):
            private_dir(tmp_path / name)
