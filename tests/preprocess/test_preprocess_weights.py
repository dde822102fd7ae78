"""Weights of published networks: fetched or copied whole and checked, or refused in plain words."""

import hashlib
import http.server
import threading

import pytest

from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.preprocess import weights

CONTENT = b"weights" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Site(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT at /weights; /short ends early."""

    def do_GET(self):
        found = self.path in ("/weights", "/short")
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(CONTENT)) if found else "0")
        self.end_headers()
        if found:
            self.wfile.write(CONTENT if self.path == "/weights" else CONTENT[:100])

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def site():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def provide(out, url, *options):
    weights.main(["--network", "synthsr", "--url", url, "--out", str(out), *options])


@pytest.mark.parametrize("options", [[], ["--sha256", DIGEST]])
def test_a_file_is_downloaded(site, tmp_path, options):
    provide(tmp_path / "synthsr.weights", f"{site}/weights", *options)
    assert (tmp_path / "synthsr.weights").read_bytes() == CONTENT
    assert file_digest(tmp_path / "synthsr.weights") == DIGEST


def test_a_given_file_is_taken_instead(tmp_path):
    (tmp_path / "mine.h5").write_bytes(CONTENT)
    provide(tmp_path / "synthsr.weights", "http://127.0.0.1:9/never", "--given", str(tmp_path / "mine.h5"))
    assert (tmp_path / "synthsr.weights").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("page", "reason"), [("/short", "6900 bytes early"), ("/gone", "404")], ids=["ends early", "not there"]
)
def test_what_is_not_whole_is_not_kept(site, tmp_path, page, reason):
    with pytest.raises(InputError, match=reason):
        provide(tmp_path / "synthsr.weights", site + page)
    assert not list(tmp_path.iterdir())


def test_without_a_network_the_message_says_where_to_get_the_file_and_where_to_put_it(tmp_path):
    with pytest.raises(InputError) as error:
        provide(tmp_path / "synthsr.weights", "http://127.0.0.1:9/synthsr.h5")
    assert "http://127.0.0.1:9/synthsr.h5 cannot be downloaded" in str(error.value)
    for way in ("preprocess.skull_stripping.synthsr_weights.path", "--synthsr-weights for a new patient"):
        assert way in error.value.remedy
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", [True, False])
def test_another_file_than_expected_is_refused(site, tmp_path, given):
    (tmp_path / "mine.h5").write_bytes(CONTENT)
    options = ["--given", str(tmp_path / "mine.h5")] if given else []
    with pytest.raises(InputError, match=rf"has the SHA-256 {DIGEST}, not 0{{64}}") as error:
        provide(tmp_path / "synthsr.weights", f"{site}/weights", "--sha256", "0" * 64, *options)
    assert "preprocess.skull_stripping.synthsr_weights.sha256" in error.value.remedy
    assert not (tmp_path / "synthsr.weights").exists()
