"""Where settings come from, and that no typing error goes unnoticed."""

from pathlib import Path

import pytest

from facecli.config import Settings, load
from facecli.errors import ConfigError
from facecli.types import FacePolicy


@pytest.fixture
def toml(tmp_path):
    def write(text: str) -> dict[str, str]:
        path = tmp_path / "facecli.toml"
        path.write_text(text)
        return {"FACECLI_CONFIG": str(path)}

    return write


def test_flag_beats_environment_beats_file_beats_default(toml):
    environ = toml("threads = 1\nfmr = 0.001\ndevice = 'cpu'\n") | {"FACECLI_THREADS": "2", "FACECLI_FMR": "0.01"}
    loaded = load({"threads": 3, "fmr": None}, environ)
    assert loaded.settings == Settings(threads=3, fmr=0.01, device="cpu")
    assert loaded.origins["threads"] == "flag"
    assert loaded.origins["fmr"] == "FACECLI_FMR"
    assert loaded.origins["device"].endswith("facecli.toml")
    assert loaded.origins["fpir"] == "default"


@pytest.mark.parametrize(
    "text",
    [
        "thread = 1",
        "threads = 'two'",
        "threads = 1.5",
        "threads = -1",
        "turn = 1",
        "faces = 'both'",
        "fmr = nan",
        "x =",
    ],
)
def test_a_wrong_file_is_an_error_that_names_it(toml, text):
    with pytest.raises(ConfigError, match=r"facecli\.toml"):
        load({}, toml(text))


@pytest.mark.parametrize("variable", ["FACECLI_DEVCIE", "FACECLI_", "FACECLI_threads"])
def test_an_unknown_variable_is_an_error(variable, toml):
    with pytest.raises(ConfigError, match=variable):
        load({}, toml("") | {variable: "1"})


def test_a_named_file_must_exist(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load({}, {"FACECLI_CONFIG": str(tmp_path / "missing.toml")})


def test_values_are_of_their_type(toml):
    loaded = load({}, toml("gallery = '~/g'\nturn = false\nfaces = 'center'\nmin_sharpness = 1\n"))
    assert loaded.settings.gallery == Path("~/g").expanduser()
    assert loaded.settings.turn is False
    assert loaded.settings.faces is FacePolicy.CENTER
    assert loaded.settings.min_sharpness == 1.0


def test_a_threshold_is_no_setting(toml):
    with pytest.raises(ConfigError, match="threshold"):
        load({}, toml("threshold = 0.1"))
